#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace lowbit {

/// The candidate whose loss, a sum of terms of at least 0 over parts of a sample, is least; of equals the one of the
/// lowest index. A candidate that can no longer win is given up, which changes nothing; one that is far behind the best
/// one on the same parts so far is given up too.
class Race {
 public:
  /// `parts` at least 1. `give_up`: the share by which a candidate may be behind, at least 0.
  Race(std::size_t parts, double give_up);

  /// `loss` of a part is asked for in order, until the candidate is given up. One whose loss is NaN never wins.
  void enter(std::size_t candidate, const std::function<double(std::size_t part)>& loss);

  /// 0 before the first candidate has finished.
  [[nodiscard]] std::size_t winner() const { return winner_; }

 private:
  double give_up_;
  std::size_t winner_ = 0;
  std::vector<double> best_;  // the winner's sums, part by part
};

}  // namespace lowbit
