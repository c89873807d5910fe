#pragma once

#include <cstdint>
#include <filesystem>

#include "lowbit/containers/tensor_entry.h"

namespace lowbit::bench {

/// A Llama of any shape with pseudo-random weights: models of every size for measurements of memory and time, whose
/// numbers mean nothing.
struct SyntheticShape {
  std::int64_t layers = 8;
  std::int64_t hidden = 512;
  std::int64_t intermediate = 1408;
  std::int64_t heads = 8;
  std::int64_t kv_heads = 8;
  std::int64_t vocabulary = 4096;
  std::int64_t context = 2048;
  bool tied = false;
  StorageType type = StorageType::kF16;  ///< F16, BF16 or F32

  [[nodiscard]] static SyntheticShape llama_2_7b() { return {32, 4096, 11008, 32, 32, 32000, 4096, false}; }
};

/// Writes a folder in Hugging Face's layout: config.json, a tokenizer whose tokens are single bytes, model.safetensors.
/// A tensor's data is made while it is written, so that the size of the model costs no memory.
void write_synthetic_model(const std::filesystem::path& folder, const SyntheticShape& shape);

/// Paragraphs of pseudo-random words, about `bytes` of them; under the tokenizer above a byte is a token.
void write_synthetic_text(const std::filesystem::path& file, std::int64_t bytes);

}  // namespace lowbit::bench
