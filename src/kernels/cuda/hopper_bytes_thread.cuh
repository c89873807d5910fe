#pragma once

#include "kernels/cuda/hopper_thread.cuh"

// Products of bytes of a group of four warps: 64 rows by 64, 128 or 256 tokens.
namespace lowbit::kernels::cuda {

#define LOWBIT_SUMS1(n) "+r"(d[n][0]), "+r"(d[n][1]), "+r"(d[n][2]), "+r"(d[n][3])
#define LOWBIT_SUMS2(n) LOWBIT_SUMS1(n), LOWBIT_SUMS1(n + 1)
#define LOWBIT_SUMS4(n) LOWBIT_SUMS2(n), LOWBIT_SUMS2(n + 2)
#define LOWBIT_SUMS8(n) LOWBIT_SUMS4(n), LOWBIT_SUMS4(n + 4)
#define LOWBIT_SUMS16(n) LOWBIT_SUMS8(n), LOWBIT_SUMS8(n + 8)
#define LOWBIT_SUMS32(n) LOWBIT_SUMS16(n), LOWBIT_SUMS16(n + 16)
#define LOWBIT_NAMES_32                                                  \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15" \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define LOWBIT_NAMES_64                                                              \
  LOWBIT_NAMES_32                                                                    \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define LOWBIT_NAMES_128                                                                         \
  LOWBIT_NAMES_64                                                                                \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
// `names`: the accumulators' places; behind them are the left operand's four and the descriptor of the right one. The
// left one is unsigned, the right one signed; sums go on, and wrap.
#define LOWBIT_BYTE_PRODUCT(shape, names, a, descriptor, sums)                                         \
  asm volatile(                                                                                        \
      "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"                                                       \
      "wgmma.mma_async.sync.aligned." shape ".s32.u8.s8 {" names "}, {" a "}, " descriptor ", p;\n}\n" \
      : sums                                                                                           \
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right))

class HopperBytesThread : public HopperThread {
 public:
  template <int kTokenTiles>
  __device__ void multiply_group_bytes(std::int32_t (&d)[kTokenTiles][4], const std::uint32_t (&left)[4],
                                       std::uint64_t right) {
    if constexpr (kTokenTiles == 8) {
      LOWBIT_BYTE_PRODUCT("m64n64k32", LOWBIT_NAMES_32, "%32, %33, %34, %35", "%36", LOWBIT_SUMS8(0));
    } else if constexpr (kTokenTiles == 16) {
      LOWBIT_BYTE_PRODUCT("m64n128k32", LOWBIT_NAMES_64, "%64, %65, %66, %67", "%68", LOWBIT_SUMS16(0));
    } else {
      static_assert(kTokenTiles == 32);
      LOWBIT_BYTE_PRODUCT("m64n256k32", LOWBIT_NAMES_128, "%128, %129, %130, %131", "%132", LOWBIT_SUMS32(0));
    }
  }
};

#undef LOWBIT_SUMS1
#undef LOWBIT_SUMS2
#undef LOWBIT_SUMS4
#undef LOWBIT_SUMS8
#undef LOWBIT_SUMS16
#undef LOWBIT_SUMS32
#undef LOWBIT_NAMES_32
#undef LOWBIT_NAMES_64
#undef LOWBIT_NAMES_128
#undef LOWBIT_BYTE_PRODUCT

}  // namespace lowbit::kernels::cuda
