#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/factory.h"

namespace lowbit LOWBIT_EXPORT {

class DeviceDecoder;

/// A model with the keys and values of what it has read: sequences of equal length, continued token by token.
///
///   Decoder decoder(model, /*sequences=*/1, /*limit=*/64);
///   at::Tensor logits = decoder.read(prompt_ids, cancellation);   // [1, vocabulary], of the token behind the prompt
///   logits = decoder.read(next_id, cancellation);
///
/// Where the products of each block of a resident model are all packed, or all float, and bare, and its caches keep
/// floats or round them (`KvRounder`), tokens behind the first read go without LibTorch from product to product; the
/// bits are those of `Block::forward`. In bfloat16 the numbers between blocks, keys and values are rounded to it, and
/// nothing else, logits neither.
/// On another device they are a graph of kernels that is recorded once, for models in bfloat16 whose caches keep what
/// comes; the numbers are those of `Block::forward` within bfloat16's rounding.
class Decoder {
 public:
  /// `limit` positions at most; `model` outlives the decoder.
  Decoder(const Model& model, std::int64_t sequences, std::int64_t limit);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Reads ids int64 [sequences, tokens]; the logits of the tokens behind them, [sequences, vocabulary], float32 in
  /// main memory. Throws `kInterrupted` when cancelled, `kInternal` beyond the limit.
  [[nodiscard]] at::Tensor read(const at::Tensor& ids, const Cancellation& cancellation);
  /// As `read`, of ids [sequences * tokens], but of each sequence only the `count` largest logits, as `Model::rank`
  /// gives them; valid until the next call. A single token a sequence allocates nothing without a detour on the CPU.
  [[nodiscard]] std::span<const std::vector<RankedToken>> read_ranked(std::span<const TokenId> ids, std::int64_t count,
                                                                      const Cancellation& cancellation);
  [[nodiscard]] std::int64_t length() const { return length_; }
  /// Of the keys and values of all layers and sequences.
  [[nodiscard]] std::int64_t cache_bytes() const;
  /// Empty when tokens are read without LibTorch between the products; else what stands in the way.
  [[nodiscard]] const std::string& detour() const { return detour_; }

 private:
  class Direct;
  void check_room(const Shape& ids, std::int64_t tokens) const;
  // Reads ids through LibTorch or on another device; the final norm of the last tokens, [sequences, 1, hidden].
  [[nodiscard]] at::Tensor read_states(const at::Tensor& ids, const Cancellation& cancellation);
  const Model& model_;
  std::int64_t sequences_;
  std::int64_t limit_;
  std::int64_t length_ = 0;
  std::string detour_;
  std::vector<std::unique_ptr<KvCachePolicy>> caches_;
  std::unique_ptr<Direct> direct_;         // null for the detour and on other devices
  std::unique_ptr<DeviceDecoder> device_;  // null for the detour and on the CPU
  std::vector<std::vector<RankedToken>> ranked_;
};

}  // namespace LOWBIT_EXPORT
