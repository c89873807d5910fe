#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/tensor/device_packed.h"

namespace lowbit LOWBIT_EXPORT {

struct DeviceStepSizes {
  std::int64_t sequences = 0;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t capacity = 0;
  std::int64_t window = 0;  ///< 0: all tokens are seen
  double norm_eps = 0;
};

/// A packed matrix on the device and its bias, [rows] or undefined.
struct DeviceStepLinear {
  const DeviceWeight* weight = nullptr;
  at::Tensor bias;
  DeviceArithmetic arithmetic = DeviceArithmetic::kBFloat16;  ///< or kInt8
};

/// One block's weights; norms are bfloat16 on the device.
struct DeviceStepBlock {
  at::Tensor input_norm;
  at::Tensor mlp_norm;
  DeviceStepLinear q, k, v, o, gate, up, down;
};

/// Reads one token of each sequence through all blocks of a packed Llama in bfloat16, without LibTorch: a sequence of
/// kernels that is recorded once as a graph and replayed for every token. Keys and values lie in tensors that others
/// fill too. Against blocks that run through LibTorch, what each kernel computes is rounded to bfloat16 once, where
/// LibTorch rounds behind each of its operators.
///
///   DeviceStep step(sizes, blocks, final_norm, cos, sin);
///   step.set_length(5);                       // tokens that the caches hold
///   normalised = step.read(embeddings);       // [sequences, hidden] of the token at place 5
class DeviceStep {
 public:
  /// Empty, or why no kernels of the step take such sizes.
  [[nodiscard]] static std::string obstacle(const DeviceStepSizes& sizes);
  /// `cos` and `sin` [positions, head_dim], float32 on the device. Weights outlive the step.
  DeviceStep(const DeviceStepSizes& sizes, std::vector<DeviceStepBlock> blocks, const at::Tensor& final_norm,
             const at::Tensor& cos, const at::Tensor& sin);
  ~DeviceStep();
  DeviceStep(const DeviceStep&) = delete;
  DeviceStep& operator=(const DeviceStep&) = delete;

  /// [sequences, kv_heads, capacity, head_dim], bfloat16.
  [[nodiscard]] at::Tensor keys(std::int64_t block) const;
  [[nodiscard]] at::Tensor values(std::int64_t block) const;
  void set_length(std::int64_t tokens);
  /// embeddings [sequences, hidden] in bfloat16 -> the blocks' output behind the final norm, valid until the next call.
  /// Launched into LibTorch's current stream; nobody waits.
  [[nodiscard]] at::Tensor read(const at::Tensor& embeddings);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace LOWBIT_EXPORT
