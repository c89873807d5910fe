#pragma once

#include <filesystem>
#include <vector>

#include "lowbit/containers/safetensors.h"

namespace lowbit::testing {

/// Leaves of an artifact what another program would have written: the same tensors, without lowbit's metadata.
inline void forget_metadata(const std::filesystem::path& folder) {
  for (const auto& file : find_safetensors_files(folder)) {
    const auto shard = SafetensorsFile::open(file);
    std::vector<SafetensorsWriter::Declaration> declarations;
    for (const TensorEntry& entry : shard->tensors()) declarations.push_back({entry.name, entry.type, entry.shape});
    SafetensorsWriter plain(file, declarations);
    for (const std::size_t i : plain.order())
      plain.write(shard->tensors()[i].data.data(), shard->tensors()[i].data.size());
    plain.finish();
  }
}

}  // namespace lowbit::testing
