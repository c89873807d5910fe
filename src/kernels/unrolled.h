#pragma once

#include <utility>

// Loops over registers. In an array they would stay in memory too: GCC 12 then stores each of them in every turn of a
// loop.
namespace lowbit::kernels {
namespace {

// Of a lambda that stands between registers and their array.
#define LOWBIT_INLINE __attribute__((always_inline))

// use(0), use(1) ... as constants.
template <int kCount, typename Use>
[[gnu::always_inline]] inline void for_each(Use&& use) {
  [&]<int... kNumbers>(std::integer_sequence<int, kNumbers...>) LOWBIT_INLINE {
    (use(std::integral_constant<int, kNumbers>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

// kCount registers: at<0>(), at<1>() ...
template <typename T, int kCount>
struct Registers : Registers<T, kCount - 1> {
  T last;
  template <int kNumber>
  [[gnu::always_inline]] T& at() {
    if constexpr (kNumber == kCount - 1) {
      return last;
    } else {
      return Registers<T, kCount - 1>::template at<kNumber>();
    }
  }
};
template <typename T>
struct Registers<T, 0> {};

}  // namespace
}  // namespace lowbit::kernels
