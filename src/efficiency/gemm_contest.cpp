#include "efficiency/gemm_contest.h"

#include <algorithm>
#include <utility>

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
