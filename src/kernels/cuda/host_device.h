#pragma once

// What a GPU and the tests on a CPU compile alike is marked so. Nothing else of CUDA's language stands in these
// headers.
#ifdef __CUDACC__
#define LOWBIT_HOST_DEVICE __host__ __device__ __attribute__((always_inline))
#define LOWBIT_UNROLL _Pragma("unroll")
#define LOWBIT_NO_UNROLL _Pragma("unroll 1")
#else
#define LOWBIT_HOST_DEVICE
#define LOWBIT_UNROLL
#define LOWBIT_NO_UNROLL
#endif
