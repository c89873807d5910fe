#pragma once

#include <string>

#include "kernels/cuda/library.h"
#include "kernels/cuda/pack.h"

namespace lowbit::kernels::cuda {

/// What a GPU computes of a packed matrix and activations.
enum class DeviceArithmetic {
  kInt8,   ///< `Arithmetic::kInt8`, bit for bit
  kInt16,  ///< `Arithmetic::kInt16`, bit for bit
  /// 16-bit activations as they are; code - zero is exact, a group's sum is made in float32 by the matrix unit and
  /// meets its scale in float32. A token has the same bits in any batch, given matrix and GPU.
  kHalf,
};

/// One product. All memory is the GPU's; rows of `input` and `output` lie one behind the other.
struct DeviceCall {
  const std::byte* weight;  ///< the bytes of `Packed`, which begin on 256 bytes
  const void* input;        ///< [tokens][columns]
  void* output;             ///< [tokens][rows]
  NumberKind input_kind;    ///< kFloat16 or kBFloat16 for kHalf
  NumberKind output_kind;
  const float* bias;  ///< [rows] or null
  std::int32_t tokens;
  std::byte* workspace;  ///< as many bytes as `workspace_bytes` says; begins on 256 bytes
  void* stream;          ///< where it is launched; nobody waits for it
};

/// Chooses kernels for one packed matrix and launches them.
///
///   const DeviceProduct product(library, 0, packed);
///   product.multiply(DeviceArithmetic::kInt16, {weight, input, output, kind, kind, bias, tokens, workspace, stream});
class DeviceProduct {
 public:
  /// Keeps the shape of `packed`, not its bytes. Throws as `Library::require_device` does.
  DeviceProduct(Library library, int device, const Packed& packed);
  [[nodiscard]] const Packed& layout() const { return layout_; }
  [[nodiscard]] std::int64_t workspace_bytes(DeviceArithmetic arithmetic, std::int32_t tokens) const;
  /// Throws what CUDA reports of the launches.
  void multiply(DeviceArithmetic arithmetic, const DeviceCall& call) const;
  /// "cuda: integers", for reports.
  [[nodiscard]] static std::string kernel_name(DeviceArithmetic arithmetic);

 private:
  void multiply_integers(int planes, const DeviceCall& call) const;
  void multiply_halves(const DeviceCall& call) const;
  [[nodiscard]] std::int64_t runs() const;
  [[nodiscard]] std::int64_t places() const;
  Library library_;
  int device_;
  int multiprocessors_;
  Packed layout_;  ///< without bytes
};

}  // namespace lowbit::kernels::cuda
