#pragma once

#include <string>

#include "device.h"

namespace lowbit::gpu_verify {

enum class RivalKind { kFloat16, kBFloat16, kInt8, kFp8 };  ///< kFp8: cuBLASLt's alone

/// cuBLAS of another program's installation (PyTorch's wheels carry it), loaded by its path: the rival in the same
/// process.
class Cublas {
 public:
  /// Throws `kDevice` when it cannot be loaded or lacks a function.
  Cublas(const Gpu& gpu, const std::string& path);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// y [tokens, rows] = x [tokens, columns] times w [rows, columns] transposed; y of x's type with float32 sums, or
  /// int32 for int8.
  void multiply(RivalKind kind, const void* weight, const void* input, void* output, int rows, int columns,
                int tokens) const;

 private:
  void* library_ = nullptr;
  void* handle_ = nullptr;
  void* multiply_ = nullptr;
  void* destroy_ = nullptr;
};

}  // namespace lowbit::gpu_verify
