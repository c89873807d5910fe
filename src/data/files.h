#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/rows.h"
#include "lowbit/data/dataset.h"

namespace lowbit {

[[nodiscard]] bool is_file(const std::filesystem::path& path);
/// What lies in a folder, sorted; nothing when it cannot be read.
[[nodiscard]] std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

/// The files that a definition's pattern names, in the first of the folders that has one. A '*' in the pattern's last
/// part stands for any text; the files are then sorted by it. Empty: there is none.
[[nodiscard]] std::vector<DataFile> find_data_files(const std::string& pattern,
                                                    const std::vector<std::filesystem::path>& folders);

}  // namespace lowbit
