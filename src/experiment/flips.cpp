#include <algorithm>

#include "lowbit/experiment/results.h"

namespace lowbit {
namespace {

using Item = EvaluationResult::Item;

bool is_right_or_wrong(const Item& item) { return item.value == 0 || item.value == 1; }

/// The mean margin of items that flipped.
class Margins {
 public:
  void add(const Item& item) {
    const auto margin = item.more.find("margin");
    if (margin == item.more.end()) return;
    sum_ += margin->second;
    ++count_;
  }
  [[nodiscard]] std::optional<double> mean() const {
    return count_ == 0 ? std::nullopt : std::optional(sum_ / static_cast<double>(count_));
  }

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace

std::optional<Flips> flips_between(const EvaluationResult& result, const EvaluationResult& baseline) {
  const bool fits = result.items.size() == baseline.items.size() && !result.items.empty() &&
                    std::all_of(result.items.begin(), result.items.end(), is_right_or_wrong) &&
                    std::all_of(baseline.items.begin(), baseline.items.end(), is_right_or_wrong);
  if (!fits) return std::nullopt;
  Flips flips;
  Margins lost;
  Margins gained;
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    const Item& now = result.items[i];
    const Item& before = baseline.items[i];
    if (before.value > now.value) {
      ++flips.lost;
      lost.add(before);
    } else if (now.value > before.value) {
      ++flips.gained;
      gained.add(now);
    }
  }
  flips.p_value = mcnemar_p(flips.lost, flips.gained);
  flips.lost_margin = lost.mean();
  flips.gained_margin = gained.mean();
  return flips;
}

}  // namespace lowbit
