#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lowbit/evaluation/scorer.h"
#include "tensor/segment_attention.h"

namespace lowbit {

/// Requests one behind the other that begin alike, such as the choices of a question: what all of them read first (the
/// trunk) is computed once, what each reads behind it (a branch) sees the trunk and itself.
struct BranchedRequests {
  std::vector<ScoreRequest> requests;
  std::vector<std::size_t> groups;  ///< how many requests each group has, none of them 0
};

/// Sequences laid one behind the other, so that a block computes them in one pass: stems, trunks and branches.
struct PackedSequence {
  struct Scored {
    std::size_t request = 0;
    std::vector<std::int64_t> rows;  ///< the row that predicts each target
  };
  std::vector<std::int64_t> ids;        ///< of each row
  std::vector<std::int64_t> positions;  ///< in its own sequence
  std::vector<AttentionSegment> segments;
  std::vector<Scored> scored;
};

/// Whether a row's result is a function of its token and those before it, wherever it is computed.
[[nodiscard]] bool rows_stand_alone(const Model& model);
/// Whether products have the same bits in any batch, or need not.
[[nodiscard]] bool packs_freely(const ComputeOptions& options);

/// One group of requests: the number of its first, and how many.
struct RequestGroup {
  std::size_t first = 0;
  std::size_t count = 0;
};

/// Adds groups, which share the first `stem` tokens that they read.
void pack_groups(const BranchedRequests& all, std::span<const RequestGroup> groups, std::int64_t stem,
                 PackedSequence& packed);

/// Lays groups out in sequences of at most `batch_tokens` rows, or of one group that is longer by itself. When
/// `freely`, groups share sequences, and what neighbours in the order of their tokens read first in common (the shots)
/// is a stem that is computed once a sequence; else each group is a sequence by itself, the longest first.
[[nodiscard]] std::vector<PackedSequence> pack_sequences(const BranchedRequests& all,
                                                         std::span<const RequestGroup> groups,
                                                         std::int64_t batch_tokens, bool freely);

/// Tokens that are computed when each group is a sequence by itself: each trunk once, and the branches.
[[nodiscard]] std::int64_t branched_tokens(const BranchedRequests& requests);

/// Tokens that are computed by a model whose products are free of their batch, such as one in float32 on the CPU, or
/// else group by group: with the stems that groups of a batch share.
[[nodiscard]] std::int64_t computed_tokens(const BranchedRequests& requests, std::int64_t batch_tokens, bool freely);

/// As `Scorer::score` does, and where a product's bits are a function of row and column alone to the same bits. Else,
/// when the model computes deterministically, a group is a sequence by itself, so that its scores depend on nothing but
/// its requests. A model for which a row is more than its token and those before it (what runs around a product, a
/// rotary scaling by length) is scored by `Scorer::score`.
[[nodiscard]] std::vector<Score> score_branches(const Scorer& scorer, const BranchedRequests& requests);

}  // namespace lowbit
