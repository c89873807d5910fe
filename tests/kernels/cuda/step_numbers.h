#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "../guarded.h"
#include "emulator.h"
#include "kernels/cuda/dispatch.h"
#include "lowbit/base/random.h"

// What the tests of a decode step's kernels share.
namespace lowbit::kernels::cuda::testing {

/// bfloat16 has 8 bits: what is rounded once is off by at most this share of itself.
inline constexpr double kRounding = 0x1p-8;

/// Launches on the model of a GPU, whose threads and blocks take turns by the seed.
struct Seeded {
  std::uint64_t seed = 1;
  template <typename Kernel, typename Call>
  bool launch(const GridSize& size, const Call& call) {
    const Grid grid = {{size.blocks[0], size.blocks[1], size.blocks[2]}, Kernel::kThreads, size.shared_bytes};
    testing::launch(grid, seed, [&](EmulatedThread& thread) { Kernel::run(thread, call); });
    return true;
  }
};

/// bfloat16 numbers, or others, that end where nobody may read; not a number until they are written.
template <typename T = std::uint16_t>
struct Numbers : kernels::testing::Guarded<T> {
  explicit Numbers(std::size_t count) : kernels::testing::Guarded<T>(count, kernels::testing::Guarded<T>::Side::kEnd) {
    std::memset(this->data(), 0xFF, count * sizeof(T));
  }
  Numbers(std::size_t count, std::string_view name, double size = 1) : Numbers(count) {
    const Random random(4, name);
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<float>(size * random.normal(i));
      if constexpr (sizeof(T) == 2) {
        this->data()[i] = float_to_bfloat16(value);
      } else {
        this->data()[i] = value;
      }
    }
  }
  [[nodiscard]] double at(std::size_t i) {
    if constexpr (sizeof(T) == 2) {
      return static_cast<double>(bfloat16_to_float(this->data()[i]));
    } else {
      return static_cast<double>(this->data()[i]);
    }
  }
  [[nodiscard]] std::vector<T> copy() { return {this->span().begin(), this->span().end()}; }
};

inline std::size_t count_of(int a, int b, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

}  // namespace lowbit::kernels::cuda::testing
