#pragma once

#include <cstdint>
#include <optional>

#include "lowbit/containers/gguf_writer.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit {

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF" in the file
inline constexpr std::uint64_t kGgufDefaultAlignment = 32;
inline constexpr std::uint32_t kGgufMaxDimensions = 4;

/// A tensor type as the file numbers it. The size is known for those that are `kOther` here, too.
struct GgufTensorType {
  std::uint32_t id = 0;
  StorageType type = StorageType::kOther;
  BlockSize block;
};
[[nodiscard]] std::optional<GgufTensorType> gguf_tensor_type(std::uint32_t id);
[[nodiscard]] std::optional<GgufTensorType> gguf_tensor_type(StorageType type);

/// Bytes of a scalar; 0 for strings, arrays and unknown types.
[[nodiscard]] std::size_t gguf_scalar_bytes(GgufType type);

}  // namespace lowbit
