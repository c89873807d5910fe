#pragma once

namespace lowbit::testing {

/// What the library of counting_cuda.cpp was asked for; whoever loads it finds these by `lowbit_cuda_counts`.
struct CudaCounts {
  int recorded = 0;
  int replayed = 0;
  bool gates_nothing = false;  ///< the kernels that gate activations do nothing, and say that they did
};

inline constexpr const char* kCountsSymbol = "lowbit_cuda_counts";

}  // namespace lowbit::testing
