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
double seconds_of(Action&& action) {
  const double start = seconds_now();
  action();
  return seconds_now() - start;
}

constexpr std::int64_t kPart = 512;  // words
// A pass is short, so that the best one was not interrupted, and long beside the threads' start: it goes over a small
// buffer again, and over a large one from where the last ended.
constexpr std::int64_t kPassBytes = std::int64_t{8} << 20;

// Codes of 4 bits; small numbers as floats.
struct UnitBytes {
  alignas(64) std::uint8_t of[64];
  UnitBytes() {
    const Random random(2, "kernels/probe");
    for (std::size_t i = 0; i < sizeof of; ++i) of[i] = static_cast<std::uint8_t>(random.below(i, 16));
  }
};

// Those that this processor has.
std::vector<ProbeUnit> units() {
  std::vector<ProbeUnit> result;
#if defined(LOWBIT_KERNELS_X86)
  const auto add = [&](const std::string& missing, const ProbeUnits& more) {
    if (missing.empty()) result.insert(result.end(), more.begin(), more.end());
  };
  add(missing_for_avx2(), avx2_probe_units());
  add(missing_for_avx512(), avx512_probe_units());
  add(missing_for_amx(), amx_probe_units());
#endif
  return result;
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

ReadProbe::ReadProbe(std::size_t bytes, const Executor& executor)
    : executor_(executor), words_(std::max<std::size_t>(bytes / sizeof(std::uint64_t), kPart) / kPart * kPart) {
  const Random random(1, "kernels/probe");
  run_parts(executor, static_cast<std::int64_t>(words_.size()), [&](std::int64_t begin, std::int64_t end) {
    std::uint64_t state = random.bits(static_cast<std::uint64_t>(begin));
    for (std::int64_t i = begin; i < end; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      words_[static_cast<std::size_t>(i)] = state;
    }
  });
}

double ReadProbe::pass() {
  std::atomic<std::uint64_t> seen{0};  // so that no pass can be left out
  const auto parts = static_cast<std::int64_t>(words_.size()) / kPart;
  const std::int64_t passing = std::min<std::int64_t>(parts, kPassBytes / (kPart * 8));
  const std::int64_t rounds = std::max<std::int64_t>(1, kPassBytes / (passing * kPart * 8));
  const double seconds = seconds_of([&] {
    run_parts(executor_, passing, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t round = 0; round < rounds; ++round) {
        seen |= combine(words_.data() + (first_ + begin) * kPart, (end - begin) * kPart);
      }
    });
  });
  first_ = first_ + 2 * passing <= parts ? first_ + passing : 0;
  return seen == 0 ? 0.0 : static_cast<double>(rounds * passing * kPart * 8) / seconds;
}

double ReadProbe::best(int passes) {
  double result = 0;
  for (int i = 0; i < passes; ++i) result = std::max(result, pass());
  return result;
}

std::vector<UnitPeak> unit_peaks() {
  constexpr std::int64_t kRounds = 20000;
  constexpr int kRepetitions = 30;
  const UnitBytes bytes;
  std::vector<UnitPeak> peaks;
  for (const ProbeUnit& unit : units()) {
    double best = 0;
    for (int i = 0; i < kRepetitions; ++i) {
      const double seconds = seconds_of([&] { unit.run(bytes.of, kRounds); });
      best = std::max(best, static_cast<double>(kRounds * unit.operations) / seconds);
    }
    peaks.push_back({unit.name, best});
  }
  return peaks;
}

std::vector<UnitPeak> unit_rates(const Executor& executor) {
  constexpr std::int64_t kRounds = 1000;
  constexpr double kSeconds = 0.002;
  constexpr std::int64_t kThreads = 4096;  // at most
  const UnitBytes bytes;
  std::vector<UnitPeak> rates;
  for (const ProbeUnit& unit : units()) {
    std::atomic<std::int64_t> rounds{0};
    const double start = seconds_now();
    run_parts(executor, kThreads, [&](std::int64_t, std::int64_t) {
      do {
        unit.run(bytes.of, kRounds);
        rounds += kRounds;
      } while (seconds_now() - start < kSeconds);
    });
    rates.push_back({unit.name, static_cast<double>(rounds * unit.operations) / (seconds_now() - start)});
  }
  return rates;
}

// A number of 16 bits is multiplied as two bytes, or in units for words; matrix tiles have no product of it.
double peak_of(std::span<const UnitPeak> peaks, std::string_view arithmetic) {
  const auto best = [&](std::string_view type, bool tiles) {
    double result = 0;
    for (const UnitPeak& unit : peaks) {
      const std::string_view name = unit.name;
      if (name.starts_with(type) && (tiles || !name.ends_with(kTilesName))) {
        result = std::max(result, unit.operations_per_second);
      }
    }
    return result;
  };
  if (arithmetic == "int16") return std::max(best("int16", false), best("int8", false) / 2);
  return best(arithmetic == "int8_two_level" ? "int8" : arithmetic, true);
}

}  // namespace lowbit::kernels
