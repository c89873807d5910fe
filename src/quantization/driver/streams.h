#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "lowbit/base/spill_file.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/model/model.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/quantization/recipe.h"
#include "lowbit/tensor/dtype.h"
#include "quantization/driver/block_pass.h"

namespace lowbit {

/// The activations that travel from block to block, a tensor [1, tokens, hidden] for each calibration sequence. Only
/// the streams that some step reads are kept; in memory, or in a file of which one sequence at a time is in memory.
class Streams {
 public:
  /// Keeps nothing when the recipe needs no data.
  Streams(const Recipe& recipe, bool with_data);

  /// To be called first, if at all: all that follows lies in a file in `folder`, for so many elements a stream.
  void spill(const std::filesystem::path& folder, std::int64_t elements, DType type);
  /// The next sequence, before the first block.
  void add(const at::Tensor& embedded);
  [[nodiscard]] bool any() const { return keep_float_ || keep_quantized_; }
  [[nodiscard]] bool keeps_float() const { return keep_float_; }
  [[nodiscard]] bool keeps_quantized() const { return keep_quantized_; }
  /// The inputs of the coming block. Without error propagation the quantized stream is the float one.
  [[nodiscard]] const std::vector<at::Tensor>& inputs(Stream stream) const;
  /// To be called when a sequence of the stream is not needed for a while; empty for streams in memory.
  [[nodiscard]] std::function<void(std::size_t)> release(Stream stream) const;
  void clear();
  /// Replaces each input of a kept stream by the pass's output, sequence by sequence.
  void advance(Stream stream, BlockPass& pass);

 private:
  [[nodiscard]] at::Tensor keep(const at::Tensor& states);
  bool keep_float_ = false;
  bool keep_quantized_ = false;
  std::vector<at::Tensor> float_;
  std::vector<at::Tensor> quantized_;
  std::shared_ptr<SpillFile> file_;  // null: in memory
  std::size_t filled_ = 0;           // bytes of the file that hold sequences
};

/// Hidden states of the sequences before the first block, one after the other. `rewritten` is null for the model's own
/// embedding.
void embed_sequences(const Model& model, const WeightSource* rewritten, const CalibrationSet& calibration,
                     const std::function<void(const at::Tensor&)>& take);

}  // namespace lowbit
