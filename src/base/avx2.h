#pragma once

// Written before a function: it is built for AVX2 and FMA, whatever its file is built for. Only who has asked
// `has_avx2` may call it.
#if defined(__x86_64__)
#define LOWBIT_AVX2 [[gnu::target("avx2,fma")]]
// The same for AVX-512's foundation, of who has asked for it.
#define LOWBIT_AVX512 [[gnu::target("avx512f")]]
#else
#define LOWBIT_AVX2
#endif

namespace lowbit {

/// Whether the processor has AVX2 and FMA.
[[gnu::always_inline]] inline bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

}  // namespace lowbit
