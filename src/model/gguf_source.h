#pragma once

#include <filesystem>
#include <memory>

#include "lowbit/model/weight_source.h"

namespace lowbit {

/// A GGUF file. Throws `kData` / `kUnsupported`.
[[nodiscard]] std::shared_ptr<const WeightSource> open_gguf_source(const std::filesystem::path& path);

}  // namespace lowbit
