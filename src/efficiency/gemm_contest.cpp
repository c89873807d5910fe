#include "efficiency/gemm_contest.h"

#include <algorithm>
#include <utility>

#include "efficiency/gemm_operands.h"
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
      measure(timings);
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

void GemmContest::add_library(std::string name, const at::Tensor& x, const at::Tensor& weight, std::int64_t tokens,
                              bool cold) {
  Contender contender;
  contender.timing.name = std::move(name);
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

void GemmContest::measure(std::vector<GemmTiming>& timings) {
  struct Rounds {
    std::vector<double> wall, processor;
  };
  std::vector<Rounds> rounds(contenders_.size());
  for (int round = 0; round <= options_.repetitions; ++round) {
    for (std::size_t i = 0; i < contenders_.size(); ++i) {
      const Seconds seconds = time(contenders_[i], round);
      if (round == 0) continue;
      rounds[i].wall.push_back(seconds.wall);
      rounds[i].processor.push_back(seconds.processor);
    }
  }
  for (std::size_t i = 0; i < contenders_.size(); ++i) {
    auto& [wall, processor] = rounds[i];
    std::ranges::sort(wall);
    std::ranges::sort(processor);
    GemmTiming& timing = contenders_[i].timing;
    timing.processor_seconds = processor[processor.size() / 2];
    timing.seconds = {wall[wall.size() / 2], wall.front(), wall.back()};
    timings.push_back(timing);
  }
}

}  // namespace lowbit
