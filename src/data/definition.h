#pragma once

#include <filesystem>

#include "lowbit/data/dataset.h"

namespace lowbit {

/// Reads a definition file. Throws `kConfig` with every problem, a line each.
[[nodiscard]] DatasetDefinition load_definition(const std::filesystem::path& path);

/// What a plain text file is as a dataset: its paragraphs, the first 80 % "train", the rest "test".
[[nodiscard]] DatasetDefinition definition_of_text(const std::filesystem::path& path);

}  // namespace lowbit
