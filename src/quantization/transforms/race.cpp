#include "quantization/transforms/race.h"

#include <limits>
#include <utility>

namespace lowbit {

Race::Race(std::size_t parts, double give_up)
    : give_up_(give_up), best_(parts, std::numeric_limits<double>::infinity()) {}

void Race::enter(std::size_t candidate, const std::function<double(std::size_t part)>& loss) {
  std::vector<double> sums;
  double sum = 0;
  for (std::size_t part = 0; part < best_.size(); ++part) {
    sum += loss(part);
    sums.push_back(sum);
    const bool may_win = sum <= best_.back() && sum <= best_[part] * (1 + give_up_);
    if (!may_win) return;
  }
  if (sum == best_.back() && candidate > winner_) return;
  winner_ = candidate;
  best_ = std::move(sums);
}

}  // namespace lowbit
