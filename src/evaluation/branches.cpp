#include "evaluation/branches.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "evaluation/logits.h"
#include "evaluation/score_journal.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "tensor/float_panels.h"
#include "tensor/segment_attention.h"

namespace lowbit {
namespace {

/// Attention of a packed sequence. It stands in for a cache, which is where a block hands over its keys and values, and
/// keeps nothing.
class BranchAttention : public KvCachePolicy {
 public:
  BranchAttention(std::span<const AttentionSegment> segments, std::int64_t window)
      : segments_(segments), window_(window) {}

  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    return segment_attention(q, k, v, segments_, scale, window_, deterministic);
  }
  std::int64_t length() const override { return 0; }
  std::int64_t bytes() const override { return 0; }

 private:
  std::span<const AttentionSegment> segments_;
  std::int64_t window_;
};

/// The rotary table in the order of the rows.
RopeTable rows_of(const RopeTable& table, const PackedSequence& packed) {
  const at::Tensor positions = tensor_of(std::span<const std::int64_t>(packed.positions)).to(table.cos.device());
  return {table.cos.index_select(0, positions), table.sin.index_select(0, positions)};
}

class BranchScorer {
 public:
  BranchScorer(const Scorer& scorer, const BranchedRequests& requests)
      : scorer_(scorer), model_(scorer.model()), all_(requests), scores_(requests.requests.size()) {}

  std::vector<Score> run() {
    const NoGradScope no_grad;
    std::optional<ScoreJournal> journal;
    std::vector<bool> done(scores_.size(), false);
    if (!scorer_.work_folder().empty()) {
      const Hash pass = hash_of_requests(all_.requests);
      journal.emplace(scorer_.work_folder() / (pass.hex() + ".scores"), pass);
      restore(*journal, done);
    }
    const std::vector<PackedSequence> packed = pack(done);
    if (!packed.empty()) model_.hold_resident_blocks(scorer_.cancellation());
    std::int64_t total = 0;
    for (const PackedSequence& sequence : packed) total += static_cast<std::int64_t>(sequence.ids.size());
    const std::unique_ptr<ProgressTask> task = scorer_.progress().start("scoring", total, "tokens");
    for (std::size_t begin = 0; begin < packed.size();) {
      const std::span<const PackedSequence> wave = next_wave(std::span(packed).subspan(begin));
      const std::vector<at::Tensor> hidden = hidden_states(wave);
      for (std::size_t i = 0; i < wave.size(); ++i) {
        score(wave[i], hidden[i]);
        for (const PackedSequence::Scored& scored : wave[i].scored) {
          if (journal) journal->add(scored.request, scores_[scored.request], {});
        }
        task->advance(static_cast<std::int64_t>(wave[i].ids.size()));
      }
      begin += wave.size();
    }
    return std::move(scores_);
  }

 private:
  void restore(const ScoreJournal& journal, std::vector<bool>& done) {
    for (const auto& [request, record] : journal.records()) {
      if (request >= scores_.size()) continue;
      const ScoreRequest& asked = all_.requests[request];
      if (record.score.greedy.size() + static_cast<std::size_t>(asked.first) != asked.tokens.size()) continue;
      scores_[request] = record.score;
      done[request] = true;
    }
  }

  // Of the groups that are not done.
  [[nodiscard]] std::vector<PackedSequence> pack(const std::vector<bool>& done) const {
    std::vector<RequestGroup> open;
    std::size_t first = 0;
    for (const std::size_t count : all_.groups) {
      const auto begin = done.begin() + static_cast<std::ptrdiff_t>(first);
      if (!std::all_of(begin, begin + static_cast<std::ptrdiff_t>(count), [](bool d) { return d; })) {
        open.push_back({first, count});
      }
      first += count;
    }
    return pack_sequences(all_, open, scorer_.batch_tokens(), packs_freely(model_.options()));
  }

  // One sequence, or for a streamed model as many as may pass its blocks together.
  [[nodiscard]] std::span<const PackedSequence> next_wave(std::span<const PackedSequence> rest) const {
    if (model_.residency() != Model::Residency::kStreamed) return rest.first(1);
    std::size_t count = 0;
    std::int64_t tokens = 0;
    for (const PackedSequence& sequence : rest) {
      tokens += static_cast<std::int64_t>(sequence.ids.size());
      if (count > 0 && tokens > scorer_.wave_tokens()) break;
      ++count;
    }
    return rest.first(count);
  }

  [[nodiscard]] std::vector<at::Tensor> hidden_states(std::span<const PackedSequence> wave) const {
    std::vector<at::Tensor> hidden;
    std::vector<RopeTable> tables;
    for (const PackedSequence& sequence : wave) {
      const std::int64_t last = *std::max_element(sequence.positions.begin(), sequence.positions.end());
      tables.push_back(rows_of(model_.rope(last + 1), sequence));
      hidden.push_back(model_.embed(tensor_of(std::span<const std::int64_t>(sequence.ids)).unsqueeze(0)));
    }
    for (std::int64_t index = 0; index < model_.architecture().layers; ++index) {
      const std::shared_ptr<Block> block = model_.block(index);
      for (std::size_t i = 0; i < wave.size(); ++i) {
        scorer_.cancellation().check();
        BranchAttention attention(wave[i].segments, model_.architecture().sliding_window);
        hidden[i] = block->forward(hidden[i], tables[i], &attention);
      }
    }
    return hidden;
  }

  // Rows of all the sequence's targets share slices of logits. A single row, whose product has other bits than one
  // among several, is computed twice.
  void score(const PackedSequence& packed, const at::Tensor& hidden) {
    struct Target {
      std::size_t request;
      std::size_t index;
      std::int64_t row;
    };
    std::vector<Target> targets;
    for (const PackedSequence::Scored& scored : packed.scored) {
      scores_[scored.request].log_likelihood.resize(scored.rows.size());
      scores_[scored.request].greedy.resize(scored.rows.size());
      for (std::size_t i = 0; i < scored.rows.size(); ++i) targets.push_back({scored.request, i, scored.rows[i]});
    }
    std::stable_sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) { return a.row < b.row; });
    for (std::size_t begin = 0; begin < targets.size();) {
      std::vector<std::int64_t> rows;
      std::vector<std::size_t> row_of;  // of each target of the slice, its place in `rows`
      std::size_t end = begin;
      for (; end < targets.size(); ++end) {
        if (rows.empty() || rows.back() != targets[end].row) {
          if (static_cast<std::int64_t>(rows.size()) == scorer_.logit_rows()) break;
          rows.push_back(targets[end].row);
        }
        row_of.push_back(rows.size() - 1);
      }
      if (rows.size() == 1) rows.push_back(rows.front());
      const at::Tensor index = tensor_of(std::span<const std::int64_t>(rows)).to(hidden.device());
      const at::Tensor states = model_.final_norm(hidden.select(0, 0).index_select(0, index));
      RowScores found(static_cast<std::int64_t>(rows.size()), model_.architecture().vocabulary);
      const auto each_target = [&](auto visit) {
        for (std::size_t i = begin; i < end; ++i) {
          const ScoreRequest& request = all_.requests[targets[i].request];
          visit(targets[i], static_cast<std::int64_t>(row_of[i - begin]),
                request.tokens[static_cast<std::size_t>(request.first) + targets[i].index]);
        }
      };
      each_target([&](const Target&, std::int64_t row, TokenId token) { found.want(row, token); });
      model_.head_parts(states, found);
      each_target([&](const Target& target, std::int64_t row, TokenId token) {
        keep(target.request, target.index, found.score(row, token));
      });
      begin = end;
    }
  }

  void keep(std::size_t request, std::size_t index, const RowScore& found) {
    if (!std::isfinite(found.log_likelihood)) {
      fail(ErrorCode::kInternal,
           "request {}: the likelihood of token {} is not finite; the model's numbers overflow or are damaged", request,
           index + static_cast<std::size_t>(all_.requests[request].first));
    }
    scores_[request].log_likelihood[index] = found.log_likelihood;
    scores_[request].greedy[index] = found.greedy;
  }

  const Scorer& scorer_;
  const Model& model_;
  const BranchedRequests& all_;
  std::vector<Score> scores_;
};

}  // namespace

bool rows_stand_alone(const Model& model) {
  const RopeScalingKind scaling = model.architecture().rope_scaling.kind;
  if (scaling == RopeScalingKind::kDynamic || scaling == RopeScalingKind::kLongRope) return false;
  const std::vector<FusedGroup> groups = model.block(0)->fused_groups();
  for (std::int64_t layer = 0; layer < model.architecture().layers; ++layer) {
    for (const FusedGroup& group : groups) {
      for (const std::string& linear : group.linears) {
        if (!model.weights().executions(fmt::format("model.layers.{}.{}", layer, linear)).empty()) return false;
      }
    }
  }
  return true;
}

bool packs_freely(const ComputeOptions& options) {
  if (!options.deterministic) return true;
  return options.dtype == DType::kFloat32 && options.device.is_cpu() && float_panels_available();
}

std::vector<Score> score_branches(const Scorer& scorer, const BranchedRequests& requests) {
  if (!rows_stand_alone(scorer.model())) return scorer.score(requests.requests);
  scorer.check(requests.requests);
  return BranchScorer(scorer, requests).run();
}

}  // namespace lowbit
