#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
/// the n-th number is a pure function of (seed, stream, n), so that order, threads and resuming cannot change a draw.
///
///   Random random(seed, "calibration/wikitext2");
///   std::uint64_t i = random.below(n, 100);   // the draw number n, in 0..99
class Random {
 public:
  Random(std::uint64_t seed, std::string_view stream);

  /// 64 uniform bits.
  [[nodiscard]] std::uint64_t bits(std::uint64_t counter) const;
  /// Uniform in [0, 1), with 53 bits.
  [[nodiscard]] double uniform(std::uint64_t counter) const;
  /// Standard normal (Box-Muller).
  [[nodiscard]] double normal(std::uint64_t counter) const;
  /// Uniform in 0..bound-1 without bias; `bound` must not be 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t counter, std::uint64_t bound) const;
  /// A further stream of its own, for example one a layer.
  [[nodiscard]] Random child(std::string_view name) const;

 private:
  std::array<std::uint32_t, 4> block(std::uint64_t counter, std::uint64_t lane) const;
  std::uint64_t seed_;
  std::uint64_t stream_;
};

}  // namespace lowbit
