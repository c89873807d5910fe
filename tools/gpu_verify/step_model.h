#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device.h"
#include "kernels/cuda/decode_step.h"

namespace lowbit::gpu_verify {

/// What a step's products are of; activations of 8 bits are rounded in the step.
struct StepWeights {
  int bits = 4;
  std::int64_t group = 0;  ///< columns; 0: a row is one
  bool rounds = false;
};

struct StepCase {
  cuda::StepShape shape;
  int blocks;
  bool biases;
  int position;  ///< of the token that the step reads
  StepWeights weights;

  [[nodiscard]] std::string name() const;
  /// Rows and columns of a block's products: q, k, v, o, gate, up, down.
  [[nodiscard]] std::array<std::pair<int, int>, 7> products() const;
};

/// A block's numbers in main memory, as bfloat16 holds them.
struct StepNumbers {
  std::vector<std::uint16_t> input_norm, mlp_norm;
  std::array<std::vector<float>, 7> biases;  ///< empty without
  std::vector<std::uint16_t> keys, values;   ///< as StepBlock
};

/// A random Llama on the GPU, its caches full of random numbers, and its decode step.
class StepModel {
 public:
  using Products = std::array<const cuda::Packed*, 7>;
  /// The products of each block, in the order of `StepCase::products`.
  StepModel(const Gpu& gpu, const StepCase& of, const std::vector<Products>& products);

  /// The embeddings and the position that the next step begins with; caches keep what steps appended.
  void begin() const;
  void launch() const { step_->launch(gpu_.stream()); }
  [[nodiscard]] std::vector<std::uint16_t> hidden() const { return hidden_.read(); }
  [[nodiscard]] std::vector<std::uint16_t> normalised() const { return normalised_.read(); }
  [[nodiscard]] int position() const { return position_.read()[0]; }
  [[nodiscard]] std::vector<std::uint16_t> keys(int block) const;
  [[nodiscard]] std::vector<std::uint16_t> values(int block) const;
  [[nodiscard]] double weight_bytes() const { return weight_bytes_; }

  StepCase description;
  std::vector<StepNumbers> numbers;
  std::vector<std::uint16_t> embeddings, final_norm;
  std::vector<float> cos, sin;

 private:
  struct Block;
  void add_block(const Products& products, std::uint64_t seed);
  const Gpu& gpu_;
  double weight_bytes_ = 0.0;
  Buffer<std::uint16_t> embedded_, hidden_, normalised_, norm_;
  Buffer<std::int32_t> first_position_, position_;
  Buffer<float> cos_, sin_;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::optional<Buffer<std::byte>> workspace_;
  std::optional<cuda::DecodeStep> step_;
};

}  // namespace lowbit::gpu_verify
