#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "lowbit/calibration/calibration_set.h"
#include "lowbit/model/model.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit {

/// The activations that travel from block to block, a tensor [1, tokens, hidden] for each calibration sequence. Only
/// the streams that some step reads are kept; until the first solved block both are the same tensors.
class Streams {
 public:
  /// Keeps nothing when the recipe needs no data.
  Streams(const Recipe& recipe, bool with_data);

  void start(std::vector<at::Tensor> embedded);
  [[nodiscard]] bool any() const { return keep_float_ || keep_quantized_; }
  [[nodiscard]] bool keeps_float() const { return keep_float_; }
  [[nodiscard]] bool keeps_quantized() const { return keep_quantized_; }
  /// The inputs of the coming block. Without error propagation the quantized stream is the float one.
  [[nodiscard]] const std::vector<at::Tensor>& inputs(Stream stream) const;
  void set(Stream stream, std::vector<at::Tensor> outputs);

 private:
  bool keep_float_ = false;
  bool keep_quantized_ = false;
  std::vector<at::Tensor> float_;
  std::vector<at::Tensor> quantized_;
};

/// Hidden states of the sequences before the first block. `rewritten` is null for the model's own embedding.
[[nodiscard]] std::vector<at::Tensor> embed_sequences(const Model& model, const WeightSource* rewritten,
                                                      const CalibrationSet& calibration);

}  // namespace lowbit
