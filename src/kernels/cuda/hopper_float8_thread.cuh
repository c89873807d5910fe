#pragma once

#include "kernels/cuda/hopper_thread.cuh"

// Products of E4M3 numbers of a group of four warps: 64 rows by 64 tokens.
namespace lowbit::kernels::cuda {

#define LOWBIT_SUMS(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])

class HopperFloat8Thread : public HopperThread {
 public:
  // Sums that begin are operands too, so that they stay in their registers.
  __device__ void multiply_group_float8(float (&d)[8][4], const std::uint32_t (&left)[4], std::uint64_t right,
                                        bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, p, 1, 1;\n}\n"
        : LOWBIT_SUMS(0), LOWBIT_SUMS(1), LOWBIT_SUMS(2), LOWBIT_SUMS(3), LOWBIT_SUMS(4), LOWBIT_SUMS(5),
          LOWBIT_SUMS(6), LOWBIT_SUMS(7)
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), "r"(static_cast<int>(add)));
  }
};

#undef LOWBIT_SUMS

}  // namespace lowbit::kernels::cuda
