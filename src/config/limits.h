#pragma once

#include <cstddef>
#include <cstdint>

namespace lowbit {

inline constexpr std::size_t kMaxConfigDepth = 64;       ///< maps and lists within each other
inline constexpr std::size_t kMaxConfigNodes = 100'000;  ///< with every alias counted as what it stands for
inline constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 20;

}  // namespace lowbit
