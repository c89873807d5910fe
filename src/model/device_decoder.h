#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/device_step.h"

namespace lowbit {

/// A packed model in bfloat16 on another device than the CPU, read one token at a time by `DeviceStep`, whose caches
/// prompts fill through LibTorch.
class DeviceDecoder {
 public:
  /// Empty, or what in the model, or in how many sequences it is to read, stands in the way.
  [[nodiscard]] static std::string obstacle(const Model& model, std::int64_t sequences);
  /// `limit` positions at most; `model` outlives the decoder.
  DeviceDecoder(const Model& model, std::int64_t sequences, std::int64_t limit);

  /// The first single token is read both ways, and an error says so when the step's numbers are others.
  /// ids [sequences, tokens] -> the last tokens' blocks' output behind the final norm, [sequences, 1, hidden].
  [[nodiscard]] at::Tensor read(const at::Tensor& ids, const Cancellation& cancellation);
  [[nodiscard]] std::int64_t cache_bytes() const;

 private:
  [[nodiscard]] at::Tensor read_together(at::Tensor hidden, const Cancellation& cancellation);
  void check(const at::Tensor& normalised, const at::Tensor& expected);
  const Model& model_;
  std::int64_t sequences_;
  std::int64_t limit_;
  std::int64_t length_ = 0;
  bool checked_ = false;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::unique_ptr<DeviceStep> step_;
};

}  // namespace lowbit
