#pragma once

#include <filesystem>
#include <string>

#include "quantization/driver/block_work.h"

namespace lowbit {

/// What solving a block said, kept beside the artifact so that a resumed run can report all blocks.
void write_block_report(const std::filesystem::path& folder, std::int64_t block, const BlockReport& report);
/// Throws `kData` when the file is missing or damaged.
[[nodiscard]] BlockReport read_block_report(const std::filesystem::path& folder, std::int64_t block);
/// JSON for the artifact's own description: recipe, calibration, seed and the layers' errors, but no times, so that
/// equal artifacts are equal bit for bit.
[[nodiscard]] std::string describe_artifact(const QuantizeRequest& request, const QuantizeReport& report);

}  // namespace lowbit
