#include "kernels/avx512_simd.h"
#include "kernels/probe_units.h"
#include "kernels/unrolled.h"

namespace lowbit::kernels {

namespace {

constexpr int kSums = 10;  // enough to hide a product's latency

// The empty instruction keeps results that nobody reads.
void run_dots(const std::uint8_t* bytes, std::int64_t rounds) {
  const __m512i both = Avx512::load(bytes);
  __m512i sums[kSums];
  for_each<kSums>([&](auto n) LOWBIT_INLINE { sums[n] = both; });
  for (std::int64_t i = 0; i < rounds; ++i) {
    for_each<kSums>([&](auto n) LOWBIT_INLINE { sums[n] = Avx512::dot(sums[n], both, both); });
  }
  for_each<kSums>([&](auto n) LOWBIT_INLINE {
    const __m512i& sum = sums[n];  // Clang captures nothing for the operand of an instruction
    asm volatile("" : : "v"(sum));
  });
}

void run_floats(const std::uint8_t* bytes, std::int64_t rounds) {
  // Numbers from 0 to 15, so that nothing is denormal; what grows, grows slowly.
  const __m512 left = Avx512::to_floats(Avx512::load_bytes(bytes));
  const __m512 right = Avx512::multiply_floats(left, Avx512::broadcast_float(0.01F));
  __m512 sums[kSums];
  for_each<kSums>([&](auto n) LOWBIT_INLINE { sums[n] = left; });
  for (std::int64_t i = 0; i < rounds; ++i) {
    for_each<kSums>([&](auto n) LOWBIT_INLINE {
      sums[n] = Avx512::fma(left, right, sums[n]);
      asm volatile("" : "+v"(sums[n]));
    });
  }
}

}  // namespace

ProbeUnits avx512_probe_units() {
  static constexpr ProbeUnit kUnits[] = {
      {"float32 fma, AVX-512", kSums * 32, run_floats},
      {"int8 products into int32, AVX-512 VNNI", kSums * 128, run_dots},
  };
  return {kUnits, 2};
}

}  // namespace lowbit::kernels
