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
  /// Forgets what it has seen, and keeps `count` from now on. Nothing else allocates.
  void restart(std::size_t count);
  /// Logits of the tokens from `first` on.
  void take(std::int64_t first, std::span<const float> part);
  /// At most as many as the limit, the largest first, equal ones by their ids. Throws `kData` when a logit was not
  /// finite.
  [[nodiscard]] std::span<const RankedToken> finish();

 private:
  [[nodiscard]] bool full() const { return kept_.size() == count_; }
  void note_damage(std::int64_t first, std::span<const float> part);
  std::mutex mutex_;
  std::size_t count_ = 0;
  std::vector<RankedToken> kept_;  // a heap, the last in order in front
  RankedToken damaged_{-1, 0};
};

/// Rankings of the rows of a product.
class RankingSink : public OutputSink {
 public:
  explicit RankingSink(std::int64_t rows) : rows_(static_cast<std::size_t>(rows)) {}
  /// Keeps the `count` largest logits of each row from now on, of what comes. Throws `kInternal` for none.
  void restart(std::int64_t count);
  void take(std::int64_t row, std::int64_t first, std::span<const float> part) override {
    rows_[static_cast<std::size_t>(row)].take(first, part);
  }
  /// Each row's `Ranking::finish`; lists that are there already keep their memory.
  void finish(std::vector<std::vector<RankedToken>>& rows);

 private:
  std::vector<Ranking> rows_;
};

}  // namespace lowbit
