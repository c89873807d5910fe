#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/model/model.h"

namespace lowbit {

/// What stands before a model's first block and behind its last when each sequence reads one token, in float32 on plain
/// memory; of a model in bfloat16 nothing is rounded. Allocates nothing once it is made. In float32 the bits are those
/// of `Model::embed`, and of `Model::head` behind `Model::final_norm` for sequences [sequences, 1, hidden].
class DirectEnds {
 public:
  /// `model` is resident, its head packed or a matrix of floats, and outlives it.
  DirectEnds(const Model& model, std::int64_t sequences);
  /// Rows of the embedding, [sequences, hidden]: of ids[0], ids[stride] ... Throws `kData` outside the vocabulary.
  void embed(const TokenId* ids, std::int64_t stride, float* hidden) const;
  /// hidden [sequences, hidden] -> the logits of each sequence, in parts.
  void head(const float* hidden, OutputSink& sink);

 private:
  void multiply_packed(OutputSink& sink);
  void multiply_floats(OutputSink& sink) const;
  std::int64_t sequences_, width_;
  double eps_;
  at::Tensor embedding_;   // [vocabulary, hidden], as it is stored
  at::Tensor final_norm_;  // float32
  const LinearOp& head_;
  at::Tensor head_weight_;  // undefined where the head is packed
  std::vector<float> normalised_;
  std::vector<std::byte> workspace_;
};

}  // namespace lowbit
