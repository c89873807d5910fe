#include "efficiency/gemm_contest.h"

#include <algorithm>
#include <utility>

#include "efficiency/gemm_operands.h"
#include "efficiency/median.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {

std::vector<GemmTiming> GemmContest::run() {
  std::vector<GemmTiming> timings;
  const auto task = progress_.start("measuring", 2 * static_cast<std::int64_t>(options_.tokens.size()), "shapes");
  for (const std::int64_t tokens : options_.tokens) {
    for (const bool cold : {false, true}) {
      task->advance();
      if (cold && tokens > most_cold_tokens_) continue;
      contenders_.clear();
      add_libraries(tokens, cold);
      for (const int bits : options_.bits) {
        for (const std::int64_t group : options_.groups) add_packed(bits, group, tokens, cold);
      }
      measure(cold, timings);
    }
  }
  return timings;
}

void GemmContest::add(Contender contender, std::int64_t tokens, bool cold) {
  contender.timing.tokens = tokens;
  contender.timing.cold = cold;
  contender.timing.operations = 2.0 * static_cast<double>(tokens * options_.rows * options_.columns);
  contenders_.push_back(std::move(contender));
}

void GemmContest::add_library(std::string name, std::string arithmetic, const at::Tensor& x, const at::Tensor& weight,
                              std::int64_t tokens, bool cold) {
  Contender contender;
  contender.timing.name = std::move(name);
  contender.timing.arithmetic = std::move(arithmetic);
  contender.timing.weight_bytes = static_cast<std::int64_t>(weight.nbytes());
  contender.copies = copies_of(contender.timing.weight_bytes, cold);
  std::vector<at::Tensor> weights;
  for (std::int64_t i = 0; i < contender.copies; ++i) weights.push_back(weight.clone());
  contender.run = [x, weights = std::move(weights)](std::int64_t copy) {
    const at::Tensor& chosen = weights[static_cast<std::size_t>(copy)];
    return x.scalar_type() == at::kChar ? library_int8_product(x, chosen) : library_linear(x, chosen);
  };
  add(std::move(contender), tokens, cold);
}

void GemmContest::measure(bool cold, std::vector<GemmTiming>& timings) {
  struct Rounds {
    std::vector<double> wall, processor;
  };
  std::vector<Rounds> rounds(contenders_.size());
  std::vector<Rates> rates;
  for (int round = 0; round <= options_.repetitions; ++round) {
    rates.push_back(probe(cold));
    for (std::size_t i = 0; i < contenders_.size(); ++i) {
      const Seconds seconds = time(contenders_[i], round);
      if (round == 0) continue;
      rounds[i].wall.push_back(seconds.wall);
      rounds[i].processor.push_back(seconds.processor);
    }
  }
  rates.erase(rates.begin());  // of the round that warms up
  const Rates usual = medians(rates);
  for (std::size_t i = 0; i < contenders_.size(); ++i) {
    const auto& [wall, processor] = rounds[i];
    GemmTiming& timing = contenders_[i].timing;
    timing.processor_seconds = median(processor);
    timing.seconds = spread_of_seconds(wall);
    const double operations = kernels::peak_of(usual.units, timing.arithmetic);
    if (operations > 0) timing.operating_seconds = timing.operations / operations;
    if (usual.bandwidth > 0) timing.reading_seconds = static_cast<double>(timing.weight_bytes) / usual.bandwidth;
    timings.push_back(timing);
  }
}

GemmContest::Rates GemmContest::medians(const std::vector<Rates>& rates) {
  const auto median_of = [&](auto&& number) {
    std::vector<double> numbers;
    for (const Rates& rate : rates) numbers.push_back(number(rate));
    return median(std::move(numbers));
  };
  Rates result = rates.front();
  result.bandwidth = median_of([](const Rates& rate) { return rate.bandwidth; });
  for (std::size_t unit = 0; unit < result.units.size(); ++unit) {
    result.units[unit].operations_per_second =
        median_of([&](const Rates& rate) { return rate.units[unit].operations_per_second; });
  }
  return result;
}

}  // namespace lowbit
