#pragma once

#include <memory>
#include <string>

#include "device.h"

namespace lowbit::gpu_verify {

/// kFp8Rows: with a scale for each row of the weight and each token, as LibTorch's scaled product has them.
enum class LtKind { kInt8, kFp8, kFp8Rows };

/// cuBLASLt, which lies beside a cuBLAS that was loaded by its path: the rival for products of bytes.
///
///   const auto plan = cublaslt.plan(LtKind::kFp8, rows, columns, tokens);
///   for (int i = 0; i < plan->candidates(); ++i) plan->multiply(i, weight, input, output);
class CublasLt {
 public:
  /// Of libcublas.so.13 it is libcublasLt.so.13. Throws `kDevice` when it cannot be loaded or lacks a function.
  CublasLt(const Gpu& gpu, const std::string& cublas);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  /// What it offers for one shape, in the order in which it expects them to be fast.
  class Plan {
   public:
    virtual ~Plan() = default;
    [[nodiscard]] virtual int candidates() const = 0;
    /// y [tokens, rows] = x [tokens, columns] times w [rows, columns] transposed; int8 into int32, E4M3 into bfloat16.
    virtual void multiply(int candidate, const void* weight, const void* input, void* output) const = 0;
  };
  /// Throws `kDevice` when it offers nothing.
  [[nodiscard]] std::unique_ptr<Plan> plan(LtKind kind, std::int64_t rows, std::int64_t columns, int tokens) const;

  struct Functions;

 private:
  const Gpu& gpu_;
  std::unique_ptr<Functions> functions_;
  void* handle_ = nullptr;
};

}  // namespace lowbit::gpu_verify
