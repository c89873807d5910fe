#pragma once

#include <cstdint>

namespace lowbit::kernels {

/// `rounds` times `operations` operations on registers that begin with `bytes` (64 of them).
struct ProbeUnit {
  const char* name;
  std::int64_t operations;
  void (*run)(const std::uint8_t* bytes, std::int64_t rounds);
};
struct ProbeUnits {
  const ProbeUnit* units;
  int count;
  [[nodiscard]] const ProbeUnit* begin() const { return units; }
  [[nodiscard]] const ProbeUnit* end() const { return units + count; }
};
[[nodiscard]] ProbeUnits avx2_probe_units();
[[nodiscard]] ProbeUnits avx512_probe_units();
[[nodiscard]] ProbeUnits amx_probe_units();
/// How names of units of matrix tiles end.
inline constexpr const char* kTilesName = ", AMX";

/// All words combined by or; `count` is a multiple of 16.
[[nodiscard]] std::uint64_t avx2_combine(const std::uint64_t* words, std::int64_t count);

}  // namespace lowbit::kernels
