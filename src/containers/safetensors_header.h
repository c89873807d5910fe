#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/containers/tensor_entry.h"

namespace lowbit {

/// One tensor as the header declares it; the header's own text is checked, the extent not yet against the file.
struct SafetensorsRecord {
  std::string name;
  StorageType type = StorageType::kOther;
  int bits = 0;  // of one element; known for types that `type` calls kOther, too
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // in bytes, from the end of the header
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsRecord> tensors;  // in the header's order
  std::map<std::string, std::string> metadata;
};

/// Parses the JSON header. Throws `kData` without the file's name before the message.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::string_view json);

/// The name that safetensors gives a type, or an empty one where it knows none.
[[nodiscard]] std::string_view safetensors_type_name(StorageType type);

}  // namespace lowbit
