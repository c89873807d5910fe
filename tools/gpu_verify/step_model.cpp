#include "step_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "random_weights.h"
#include "timing.h"

namespace lowbit::gpu_verify {

namespace {

std::vector<std::uint16_t> bfloat16_numbers(std::int64_t count, std::uint64_t seed) {
  return to_16_bits(make_input(count, seed), true);
}

// Around one, as norms' weights are.
std::vector<std::uint16_t> norm_weights(std::int64_t count, std::uint64_t seed) {
  std::vector<float> values = make_input(count, seed);
  for (float& value : values) value = 1.0F + 0.1F * value;
  return to_16_bits(values, true);
}

// Cosines or sines of every position up to the last one, the angles of a Llama.
std::vector<float> angles(const cuda::StepShape& shape, double (*function)(double)) {
  std::vector<float> result;
  for (int position = 0; position < shape.capacity; ++position) {
    for (int c = 0; c < shape.head_dim; ++c) {
      const double turn = std::pow(10000.0, -2.0 * (c % (shape.head_dim / 2)) / shape.head_dim);
      result.push_back(static_cast<float>(function(position * turn)));
    }
  }
  return result;
}

}  // namespace

std::string StepCase::name() const {
  const std::string kind = weights.rounds ? fmt::format(" W{}A8", weights.bits) : "";
  return fmt::format("step {}x{}-{} heads {}/{} of {} blocks {} token {} of {}{}{}{}", shape.sequences, shape.hidden,
                     shape.intermediate, shape.heads, shape.kv_heads, shape.head_dim, blocks, position, shape.capacity,
                     shape.window > 0 ? fmt::format(" window {}", shape.window) : "", biases ? " biases" : "", kind);
}

std::array<std::pair<int, int>, 7> StepCase::products() const {
  const int all = shape.heads * shape.head_dim;
  const int shared = shape.kv_heads * shape.head_dim;
  return {{{all, shape.hidden},
           {shared, shape.hidden},
           {shared, shape.hidden},
           {shape.hidden, all},
           {shape.intermediate, shape.hidden},
           {shape.intermediate, shape.hidden},
           {shape.hidden, shape.intermediate}}};
}

struct StepModel::Block {
  Block(const Gpu& gpu, const StepNumbers& numbers, const Products& products, bool rounds)
      : input_norm(gpu, numbers.input_norm),
        mlp_norm(gpu, numbers.mlp_norm),
        keys(gpu, numbers.keys),
        values(gpu, numbers.values) {
    for (std::size_t i = 0; i < products.size(); ++i) {
      kernels.push_back(std::make_unique<cuda::DeviceProduct>(gpu.library(), gpu.index(), *products[i]));
      weights.push_back(std::make_unique<Buffer<std::byte>>(gpu, products[i]->bytes));
      biases.push_back(std::make_unique<Buffer<float>>(gpu, numbers.biases[i]));
      matrices.push_back({kernels[i].get(), weights[i]->data(), numbers.biases[i].empty() ? nullptr : biases[i]->data(),
                          rounds ? cuda::DeviceArithmetic::kInt8 : cuda::DeviceArithmetic::kHalf});
    }
  }
  [[nodiscard]] cuda::StepBlock described() const {
    return {input_norm.data(), mlp_norm.data(), matrices[0], matrices[1], matrices[2],  matrices[3],
            matrices[4],       matrices[5],     matrices[6], keys.data(), values.data()};
  }

  Buffer<std::uint16_t> input_norm, mlp_norm, keys, values;
  std::vector<std::unique_ptr<cuda::DeviceProduct>> kernels;
  std::vector<std::unique_ptr<Buffer<std::byte>>> weights;
  std::vector<std::unique_ptr<Buffer<float>>> biases;
  std::vector<cuda::StepMatrix> matrices;
};

StepModel::StepModel(const Gpu& gpu, const StepCase& of, const std::vector<Products>& products)
    : description(of),
      embeddings(bfloat16_numbers(std::int64_t{of.shape.sequences} * of.shape.hidden, 31)),
      final_norm(norm_weights(of.shape.hidden, 32)),
      cos(angles(of.shape, [](double x) { return std::cos(x); })),
      sin(angles(of.shape, [](double x) { return std::sin(x); })),
      gpu_(gpu),
      embedded_(gpu, embeddings),
      hidden_(gpu, embeddings),
      normalised_(gpu, embeddings),
      norm_(gpu, final_norm),
      first_position_(gpu, std::vector<std::int32_t>{of.position}),
      position_(gpu, std::vector<std::int32_t>{of.position}),
      cos_(gpu, cos),
      sin_(gpu, sin) {
  for (std::size_t i = 0; i < products.size(); ++i) add_block(products[i], 100 * (i + 1));
  std::vector<cuda::StepBlock> blocks;
  for (const auto& block : blocks_) blocks.push_back(block->described());
  const std::int64_t bytes = cuda::DecodeStep::workspace_bytes(of.shape, blocks);
  workspace_.emplace(gpu, std::vector<std::byte>(static_cast<std::size_t>(bytes)));
  const cuda::StepState state = {hidden_.data(), normalised_.data(), position_.data(),
                                 norm_.data(),   cos_.data(),        sin_.data()};
  step_.emplace(gpu.library(), gpu.index(), of.shape, state, std::move(blocks), workspace_->data());
}

void StepModel::add_block(const Products& products, std::uint64_t seed) {
  const cuda::StepShape& shape = description.shape;
  const std::int64_t cache = std::int64_t{shape.sequences} * shape.kv_heads * shape.capacity * shape.head_dim;
  StepNumbers block;
  block.input_norm = norm_weights(shape.hidden, seed);
  block.mlp_norm = norm_weights(shape.hidden, seed + 1);
  const std::int64_t drawn = std::min<std::int64_t>(cache, (1 << 20) - 1);  // odd: heads hold different numbers
  block.keys = repeated(static_cast<std::size_t>(cache), bfloat16_numbers(drawn, seed + 2));
  block.values = repeated(static_cast<std::size_t>(cache), bfloat16_numbers(drawn, seed + 3));
  for (std::size_t i = 0; description.biases && i < products.size(); ++i) {
    block.biases[i] = make_input(description.products()[i].first, seed + 4 + i);
  }
  for (const cuda::Packed* product : products) weight_bytes_ += static_cast<double>(product->bytes.size());
  blocks_.push_back(std::make_shared<Block>(gpu_, block, products, description.weights.rounds));
  numbers.push_back(std::move(block));
}

void StepModel::begin() const {
  cuda::Library::call("copying embeddings", gpu_.table().copy_within, hidden_.data(), embedded_.data(),
                      embeddings.size() * 2, gpu_.stream());
  cuda::Library::call("setting the position", gpu_.table().copy_within, position_.data(), first_position_.data(), 4,
                      gpu_.stream());
}

std::vector<std::uint16_t> StepModel::keys(int block) const {
  return blocks_[static_cast<std::size_t>(block)]->keys.read();
}
std::vector<std::uint16_t> StepModel::values(int block) const {
  return blocks_[static_cast<std::size_t>(block)]->values.read();
}

}  // namespace lowbit::gpu_verify
