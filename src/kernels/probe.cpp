#include "lowbit/kernels/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "kernels/backend.h"
#include "kernels/executor.h"
#include "kernels/probe_units.h"
#include "lowbit/base/random.h"

namespace lowbit::kernels {

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename Action>
double best_seconds(int repetitions, Action&& action) {
  double best = 1e30;
  for (int i = 0; i < repetitions; ++i) {
    const double start = seconds_now();
    action();
    best = std::min(best, seconds_now() - start);
  }
  return best;
}

// Words are combined by or, in eight lanes that depend on nothing but themselves.
std::uint64_t combine(const std::uint64_t* words, std::int64_t count) {
#if defined(LOWBIT_KERNELS_X86)
  if (__builtin_cpu_supports("avx2")) return avx2_combine(words, count);
#endif
  std::uint64_t lanes[8] = {};
  for (std::int64_t i = 0; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) lanes[lane] |= words[i + lane];
  }
  std::uint64_t all = 0;
  for (const std::uint64_t lane : lanes) all |= lane;
  return all;
}

}  // namespace

double read_bandwidth(std::size_t bytes, int repetitions, const Executor& executor) {
  constexpr std::int64_t kPart = 512;  // words
  // A pass is short, so that the best one was not interrupted, and long beside the threads' start: it goes over a small
  // buffer again, and over a large one from where the last ended.
  constexpr std::int64_t kPassBytes = std::int64_t{8} << 20;
  std::vector<std::uint64_t> words(std::max<std::size_t>(bytes / sizeof(std::uint64_t), kPart) / kPart * kPart);
  const Random random(1, "kernels/probe");
  run_parts(executor, static_cast<std::int64_t>(words.size()), [&](std::int64_t begin, std::int64_t end) {
    std::uint64_t state = random.bits(static_cast<std::uint64_t>(begin));
    for (std::int64_t i = begin; i < end; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      words[static_cast<std::size_t>(i)] = state;
    }
  });
  std::atomic<std::uint64_t> seen{0};  // so that no pass can be left out
  const auto parts = static_cast<std::int64_t>(words.size()) / kPart;
  const std::int64_t passing = std::min<std::int64_t>(parts, kPassBytes / (kPart * 8));
  const std::int64_t rounds = std::max<std::int64_t>(1, kPassBytes / (passing * kPart * 8));
  std::int64_t first = 0;
  const double seconds = best_seconds(repetitions, [&] {
    run_parts(executor, passing, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t round = 0; round < rounds; ++round) {
        seen |= combine(words.data() + (first + begin) * kPart, (end - begin) * kPart);
      }
    });
    first = first + 2 * passing <= parts ? first + passing : 0;
  });
  return seen == 0 ? 0.0 : static_cast<double>(rounds * passing * kPart * 8) / seconds;
}

std::vector<UnitPeak> unit_peaks() {
  std::vector<UnitPeak> peaks;
#if defined(LOWBIT_KERNELS_X86)
  if (!missing_for_avx2().empty()) return peaks;
  constexpr std::int64_t kRounds = 20000;
  constexpr int kRepetitions = 30;
  alignas(64) std::uint8_t random_bytes[64];
  const Random random(2, "kernels/probe");
  for (std::size_t i = 0; i < sizeof random_bytes; ++i) {
    random_bytes[i] = static_cast<std::uint8_t>(random.below(i, 16));  // codes of 4 bits; small numbers as floats
  }
  const auto measure = [&](const ProbeUnit& unit) {
    const double seconds = best_seconds(kRepetitions, [&] { unit.run(random_bytes, kRounds); });
    peaks.push_back({unit.name, static_cast<double>(kRounds * unit.operations) / seconds});
  };
  for (const ProbeUnit& unit : avx2_probe_units()) measure(unit);
  if (!missing_for_avx512().empty()) return peaks;
  for (const ProbeUnit& unit : avx512_probe_units()) measure(unit);
#endif
  return peaks;
}

}  // namespace lowbit::kernels
