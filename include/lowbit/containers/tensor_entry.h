#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// How the elements of a stored tensor are encoded: the plain types of safetensors and the block types of GGUF.
enum class StorageType {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF4,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ8_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_K,
  kTQ1_0,
  kTQ2_0,
  kMXFP4,
  kNVFP4,
  kOther,  ///< known to exist (an IQ type, say) but not readable; its size may be unknown
};

/// "F32", "BF16", "Q4_K" ...
[[nodiscard]] std::string_view storage_type_name(StorageType type);
/// Elements a block holds (1 for plain types, 2 for F4, 32, 64 or 256 for block types) and the bytes it takes (0 for
/// `kOther`).
struct BlockSize {
  std::int64_t elements = 1;
  std::int64_t bytes = 0;
};
[[nodiscard]] BlockSize block_size(StorageType type);

/// One tensor of a container file. Shapes are row-major, slowest dimension first, as in Hugging Face files: a GGUF
/// tensor's reversed dimensions are turned round by its reader.
struct TensorEntry {
  std::string name;
  StorageType type = StorageType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;  ///< lives as long as the container
  [[nodiscard]] std::int64_t elements() const;
};

/// A tensor that a writer is about to write.
struct TensorDeclaration {
  std::string name;
  StorageType type = StorageType::kF32;
  std::vector<std::int64_t> shape;  ///< row-major, as in `TensorEntry`
};

}  // namespace LOWBIT_EXPORT
