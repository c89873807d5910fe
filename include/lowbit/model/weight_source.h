#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/model/architecture.h"
#include "lowbit/model/linear_op.h"

namespace lowbit LOWBIT_EXPORT {

class Tokenizer;

struct StoredTensor {
  std::string name;  ///< canonical: Hugging Face's, "model.layers.0.self_attn.q_proj.weight"
  std::string type;  ///< as stored: "F32", "Q4_1", "int4 g64 asymmetric"
  std::vector<std::int64_t> shape;
  std::int64_t bytes = 0;
};

/// The weights of one model on disk, memory-mapped and read by canonical name when asked. Whatever the file's own
/// layout (GGUF names, permuted Q and K rows, shards, packed codes), callers see Hugging Face's names and orders.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  [[nodiscard]] virtual const Architecture& architecture() const = 0;
  [[nodiscard]] virtual const std::vector<StoredTensor>& tensors() const = 0;
  [[nodiscard]] virtual bool contains(std::string_view name) const = 0;
  /// The tensor as float32 (dequantized where it is stored on a grid), its own copy or a read-only view. Throws `kData`
  /// naming the tensor when it is missing or has another shape than `shape`.
  [[nodiscard]] virtual at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const = 0;
  /// Rows [first, first + count) of `load`'s tensor, where they can be read without the others; else nothing.
  [[nodiscard]] virtual std::optional<at::Tensor> load_rows(std::string_view name,
                                                            const std::vector<std::int64_t>& shape, std::int64_t first,
                                                            std::int64_t count) const {
    (void)name, (void)shape, (void)first, (void)count;
    return std::nullopt;
  }
  /// The codes and scales of a weight that an artifact stores quantized; nothing for a plain tensor. `name` is the
  /// linear's, without ".weight".
  [[nodiscard]] virtual std::optional<QuantizedWeight> load_quantized(std::string_view linear) const = 0;
  /// What runs around a linear's product, in the order in which its input meets them.
  [[nodiscard]] virtual std::vector<RuntimeRecord> executions(std::string_view linear) const {
    (void)linear;
    return {};
  }
  /// How keys and values are kept; nothing: as they are.
  [[nodiscard]] virtual std::optional<RuntimeRecord> kv_cache() const { return std::nullopt; }
  /// Of the architecture and every stored byte; computed once and remembered beside the user's cache by path, size and
  /// time.
  [[nodiscard]] virtual Hash fingerprint() const = 0;
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;
  /// "GGUF", "safetensors", "safetensors, 4 shards", "compressed-tensors pack-quantized"
  [[nodiscard]] virtual std::string format() const = 0;
  /// Remarks that a report must carry, such as "base already on a 4-bit grid (Q4_1)".
  [[nodiscard]] virtual std::vector<std::string> remarks() const { return {}; }
};

/// A GGUF file, a folder in Hugging Face's layout, or an artifact folder. Throws `kData` / `kUnsupported`.
[[nodiscard]] std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& path);

}  // namespace lowbit
