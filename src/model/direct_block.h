#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/model/block.h"
#include "lowbit/tensor/decode.h"
#include "model/packed_products.h"

namespace lowbit {

/// Why a block's tokens cannot be read by a `DirectBlock`; empty when they can.
[[nodiscard]] std::string direct_obstacle(const Block& block);

/// Memory that the blocks of one decoder share.
struct DirectSpace {
  std::vector<float> q, k, v, heads, scratch;
  BlockSpace products;
};

/// A block of packed products that reads one token a sequence on plain memory: five parallel regions, no allocation.
/// The same bits as `Block::forward` with a float cache.
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
  PackedProducts products_;
  std::unique_ptr<DecodeCache> cache_;
};

}  // namespace lowbit
