#include "model/direct_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/half.h"
#include "model/float_products.h"
#include "model/packed_products.h"

namespace lowbit {
namespace {

void grow(std::vector<float>& space, std::int64_t count) {
  space.resize(std::max(space.size(), static_cast<std::size_t>(count)));
}

// What keeps the block's products from being those of its first linear's kind.
std::string products_obstacle(const Block& block) {
  const bool packed = dynamic_cast<const PackedLinear*>(block.linears().front().op.get()) != nullptr;
  return packed ? packed_obstacle(block) : float_obstacle(block);
}

std::unique_ptr<BlockProducts> products_of(const Block& block) {
  if (packed_obstacle(block).empty()) return std::make_unique<PackedProducts>(block);
  return std::make_unique<FloatProducts>(block);
}

}  // namespace

std::string direct_obstacle(const Block& block) {
  const Architecture& a = block.architecture();
  if (!decode_operations_available()) return "the processor has no AVX2";
  if (a.query_key_rotation) return "the architecture rotates inputs";
  if (a.head_dim % 8 != 0 || a.head_dim > kMostRotated) return fmt::format("heads have {} numbers", a.head_dim);
  return products_obstacle(block);
}

DirectBlock::DirectBlock(const Block& block, std::int64_t sequences, std::int64_t limit, DecodeCache::Room room,
                         DirectSpace& space)
    : block_(block), sequences_(sequences), space_(space), products_(products_of(block)) {
  const Architecture& a = block.architecture();
  cache_ = std::make_unique<DecodeCache>(sequences, a.kv_heads, a.head_dim, limit, room, block.options().dtype);
  grow(space.q, sequences * a.heads * a.head_dim);
  grow(space.heads, sequences * a.heads * a.head_dim);
  grow(space.k, sequences * a.kv_heads * a.head_dim);
  grow(space.v, sequences * a.kv_heads * a.head_dim);
  grow(space.scratch, sequences * a.heads * cache_->capacity());
  products_->reserve(sequences, space.products);
}

void DirectBlock::attend(const float* cos, const float* sin) {
  const Architecture& a = block_.architecture();
  const DecodeAttention attention{.heads = a.heads,
                                  .kv_heads = a.kv_heads,
                                  .dim = a.head_dim,
                                  .scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim)),
                                  .window = a.sliding_window,
                                  .cos = cos,
                                  .sin = sin,
                                  .q = space_.q.data(),
                                  .k = space_.k.data(),
                                  .v = space_.v.data(),
                                  .out = space_.heads.data(),
                                  .scratch = space_.scratch.data()};
  attention.run(*cache_);
}

void DirectBlock::read(float* hidden, const float* cos, const float* sin) {
  products_->project(hidden, sequences_, space_.q.data(), space_.k.data(), space_.v.data(), space_.products);
  attend(cos, sin);
  products_->add_heads(space_.heads.data(), hidden, sequences_, hidden, space_.products);
  products_->add_mlp(hidden, sequences_, space_.products);
  if (block_.options().dtype != DType::kBFloat16) return;
  for (std::int64_t i = 0; i < sequences_ * block_.architecture().hidden; ++i) {
    hidden[i] = bfloat16_to_float(float_to_bfloat16(hidden[i]));
  }
}

}  // namespace lowbit
