#include "kernels/calibration.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <limits>
#include <mutex>

#include "kernels/sample_weight.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit::kernels {

namespace {

// Numbers of tokens that share a choice, each up to the next; direct kernels take 2 or 4 at most.
constexpr std::array<std::int64_t, 7> kTokens = {1, 2, 4, 8, 16, 32, 64};

std::size_t size_of(std::int64_t tokens) {
  std::size_t size = 0;
  while (size + 1 < kTokens.size() && tokens > kTokens[size]) ++size;
  return size;
}

// The best of some rounds, kernels in turn: what slows the machine down for a while meets them alike.
void time_in_turn(std::span<Candidate> candidates, const Product& product) {
  constexpr int kRounds = 6;
  for (int round = 0; round < kRounds; ++round) {
    for (Candidate& candidate : candidates) {
      const auto start = std::chrono::steady_clock::now();
      multiply_with(*candidate.kernel, product);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      candidate.seconds = round == 0 ? std::numeric_limits<double>::infinity() : std::min(candidate.seconds, seconds);
    }
  }
}

void measure(std::span<Candidate> candidates, Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  constexpr std::int64_t kRows = 64;
  constexpr std::int64_t kColumns = 1024;
  const ScaleStorage storage = arithmetic == Arithmetic::kInt8TwoLevel ? ScaleStorage::kUint8 : ScaleStorage::kFloat16;
  const PackedWeight weight = PackedWeight::pack(
      sample_weight({kRows, kColumns, 128, packed_bits, Decoding::kWholeZero, storage}, "kernels/calibration").view());
  // Numbers that repeat: drawing all would take longer than the products.
  const Random random(1, "kernels/calibration/input");
  std::array<float, 251> drawn;
  for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = static_cast<float>(random.normal(i));
  std::vector<float> input(static_cast<std::size_t>(tokens * kColumns));
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = drawn[i % drawn.size()];
  std::vector<float> output(static_cast<std::size_t>(tokens * kRows));
  std::vector<std::byte> space(largest_workspace(weight, tokens));
  const Product product{
      weight, arithmetic, {input.data(), tokens, kColumns, kColumns}, {output.data(), tokens, kRows, kRows}, {}, space,
      {},     {}};
  time_in_turn(candidates, product);
}

Calibrated calibrate(const Backend& table, Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  std::vector<Candidate> candidates = {{table.name, table.select(arithmetic, packed_bits, tokens)}};
  for (const Backend& backend : all_backends()) {
    if (backend.alternatives == nullptr || !is_usable(backend)) continue;
    for (const Kernel* kernel : backend.alternatives(arithmetic, packed_bits, tokens)) {
      if (kernel != candidates.front().kernel) candidates.push_back({backend.name, kernel});
    }
  }
  if (candidates.size() == 1) return {candidates.front(), "the only one that this machine has"};
  measure(candidates, arithmetic, packed_bits, tokens);
  const std::size_t best = choose_candidate(candidates);
  const Candidate& chosen = candidates[best];
  std::string reason =
      fmt::format("{} of {} measured with {} tokens: {:.1f} us", best == 0 ? "as good as any" : "the fastest",
                  candidates.size(), tokens, chosen.seconds * 1e6);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i == best) continue;
    reason +=
        fmt::format(", {}: {} {:.1f}", candidates[i].backend, candidates[i].kernel->name, candidates[i].seconds * 1e6);
  }
  return {chosen, std::move(reason)};
}

}  // namespace

std::size_t choose_candidate(std::span<const Candidate> candidates) {
  constexpr double kShare = 0.9;
  std::size_t best = 0;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    if (candidates[i].seconds < candidates[best].seconds) best = i;
  }
  return candidates[best].seconds <= kShare * candidates[0].seconds ? best : 0;
}

const Calibrated& calibrated_kernel(const Backend& table, Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  constexpr std::size_t kArithmetics = 8;
  constexpr std::size_t kMostBits = 8;
  static std::array<std::atomic<const Calibrated*>, kArithmetics*(kMostBits + 1) * kTokens.size()> known;
  static std::mutex mutex;
  static std::deque<Calibrated> owned;  // entries stay where they are
  const std::size_t size = size_of(tokens);
  const std::size_t key =
      (static_cast<std::size_t>(arithmetic) * (kMostBits + 1) + static_cast<std::size_t>(packed_bits)) *
          kTokens.size() +
      size;
  LOWBIT_ASSERT(key < known.size());
  if (const Calibrated* found = known[key].load()) return *found;
  const std::lock_guard lock(mutex);
  if (const Calibrated* found = known[key].load()) return *found;
  owned.push_back(calibrate(table, arithmetic, packed_bits, kTokens[size]));
  known[key] = &owned.back();
  return owned.back();
}

bool wants_calibration(const char* variable) {
  const std::string_view value = variable == nullptr ? "" : variable;
  if (value.empty() || value == "on") return true;
  if (value == "off") return false;
  fail(ErrorCode::kConfig, "kernels: LOWBIT_CALIBRATION is '{}', expected 'on' or 'off'", value);
}

}  // namespace lowbit::kernels
