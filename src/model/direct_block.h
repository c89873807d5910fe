#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/model/block.h"
#include "lowbit/tensor/decode.h"
#include "model/block_products.h"

namespace lowbit {

/// Why a block's tokens cannot be read by a `DirectBlock`; empty when they can.
[[nodiscard]] std::string direct_obstacle(const Block& block);

/// Memory that the blocks of one decoder share.
struct DirectSpace {
  std::vector<float> q, k, v, heads, scratch;
  BlockSpace products;
};

/// A block of products that are all packed or all float, which reads one token a sequence on plain memory: five
/// parallel regions, no allocation. In float32 the same bits as `Block::forward` with a float cache. In bfloat16 the
/// block's output, keys and values are rounded to it, and nothing else; so are those of `Block::forward` where products
/// are packed.
class DirectBlock {
 public:
  /// `block` and `space` outlive it.
  DirectBlock(const Block& block, std::int64_t sequences, std::int64_t limit, DecodeCache::Room room,
              DirectSpace& space);
  /// hidden [sequences, hidden], replaced by the block's output. `cos` and `sin` of the position, [head_dim].
  void read(float* hidden, const float* cos, const float* sin);
  [[nodiscard]] DecodeCache& cache() { return *cache_; }
  [[nodiscard]] const DecodeCache& cache() const { return *cache_; }

 private:
  void attend(const float* cos, const float* sin);
  const Block& block_;
  std::int64_t sequences_;
  DirectSpace& space_;
  std::unique_ptr<BlockProducts> products_;
  std::unique_ptr<DecodeCache> cache_;
};

}  // namespace lowbit
