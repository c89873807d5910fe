#pragma once

#include <filesystem>
#include <memory>

#include "lowbit/model/weight_source.h"

namespace lowbit {

/// A folder in Hugging Face's layout with unquantized weights. Throws `kData` / `kUnsupported`.
[[nodiscard]] std::shared_ptr<const WeightSource> open_safetensors_folder_source(const std::filesystem::path& folder);

/// generation_config.json's `eos_token_id`, where the folder has one, in place of config.json's: chat models add the
/// end of a turn there. Throws `kData`.
void apply_generation_config(const std::filesystem::path& folder, Architecture& architecture);

}  // namespace lowbit
