#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/model/linear_op.h"

namespace lowbit LOWBIT_EXPORT {

class Tokenizer;
class WeightSource;

/// What is stored for one block: its quantized linears, and every other tensor that the recipe changed, in float32. Of
/// the tensors in neither, a float16 or bfloat16 base keeps its type; all else is stored as float32.
struct BlockArtifact {
  std::int64_t index = 0;
  std::map<std::string, QuantizedWeight> linears;  ///< by slot name, "self_attn.q_proj"
  std::map<std::string, at::Tensor> tensors;       ///< canonical names; those not given are taken from the base model
  std::map<std::string, std::vector<RuntimeRecord>> executions;  ///< by slot name: what runs around the product
};

/// Bits per weight really stored, over all quantized linears of an artifact (codes, scales, zeros, indices, outliers),
/// and over the whole model's bytes on disk.
struct StoredSize {
  double bits_per_quantized_weight = 0;
  std::int64_t quantized_weights = 0;
  std::int64_t file_bytes = 0;
};

/// Writes a quantized model as a Hugging Face directory, a shard a block, so that a run killed at any moment continues
/// at the next unfinished block: `model-000NN-of-000MM.safetensors`, config.json with `quantization_config`, the
/// tokenizer, and `lowbit.json` (recipe, key, stored bits). When compressed-tensors can express every quantized linear
/// (integer grids of whole groups, a scale a channel or a scale a tensor; E4M3, NVFP4, MXFP4) and what runs around the
/// products (inputs rounded by an `ActivationScheme`), the folder is in its formats; else all of it is in lowbit's own,
/// which lowbit.json and a line of the log say. Both are described in docs/formats.md.
class ArtifactWriter {
 public:
  /// `key` identifies base model, recipe, calibration and seed: a folder begun under another key is refused
  /// (`kConfig`). The tokenizer's files are made from those of `base`.
  ArtifactWriter(std::filesystem::path folder, std::shared_ptr<const WeightSource> base, const Tokenizer& tokenizer,
                 std::string key);
  ~ArtifactWriter();

  /// Blocks that are on disk already, whole, under the same key.
  [[nodiscard]] std::vector<std::int64_t> finished_blocks() const;
  /// Reads such a block back: its linears, and all its other tensors in float32.
  [[nodiscard]] BlockArtifact read_block(std::int64_t index) const;
  /// From now on writing goes on beside the caller's next work: what writes next waits for it, and throws what went
  /// wrong. One thread may write then.
  void write_behind();
  /// Several threads may each write blocks, and one of them the rest.
  void write_block(const BlockArtifact& block);
  /// Embedding, head, final norm: those in `tensors`, by canonical name, in place of the base's; `head` takes the place
  /// of an untied head's floats. For whoever does not leave it to `finish`, whose `tensors` and `head` are then not
  /// used.
  void write_rest(const std::map<std::string, at::Tensor>& tensors, const std::optional<QuantizedWeight>& head);
  /// The rest, unless it is written, index, config, tokenizer; the folder is a model from then on. Reads all quantized
  /// linears back, and tells how much they take. `description` is JSON that goes into lowbit.json, `kv_cache` (without
  /// tensors) says how keys and values are kept.
  StoredSize finish(const std::string& description, const std::map<std::string, at::Tensor>& tensors = {},
                    const std::optional<RuntimeRecord>& kv_cache = std::nullopt,
                    const std::optional<QuantizedWeight>& head = std::nullopt);
  [[nodiscard]] bool finished() const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

[[nodiscard]] StoredSize stored_size(const WeightSource& weights);

}  // namespace lowbit
