#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "lowbit/model/model.h"

namespace lowbit {

/// The largest logits of one row that comes in parts, in any order and on several threads at a time: tokens have a
/// strict order, so that which are kept does not depend on that.
class Ranking {
 public:
  void limit_to(std::size_t count) { count_ = count; }
  /// Logits of the tokens from `first` on.
  void take(std::int64_t first, std::span<const float> part);
  /// At most as many as the limit, the largest first, equal ones by their ids. Throws `kData` when a logit was not
  /// finite.
  [[nodiscard]] std::vector<RankedToken> finish();

 private:
  [[nodiscard]] bool full() const { return kept_.size() == count_; }
  void note_damage(std::int64_t first, std::span<const float> part);
  std::mutex mutex_;
  std::size_t count_ = 0;
  std::vector<RankedToken> kept_;  // a heap, the last in order in front
  RankedToken damaged_{-1, 0};
};

}  // namespace lowbit
