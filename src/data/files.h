#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/rows.h"
#include "lowbit/data/dataset.h"

namespace lowbit {

[[nodiscard]] bool is_file(const std::filesystem::path& path);

/// The files that a definition's pattern names, in the first of the folders that has one. A '*' in the pattern's last
/// part stands for any text; the files are then sorted by it. Empty: there is none.
[[nodiscard]] std::vector<DataFile> find_data_files(const std::string& pattern,
                                                    const std::vector<std::filesystem::path>& folders);

/// The folders of a dataset's snapshots in the local cache of the Hugging Face hub ($HF_HUB_CACHE, $HF_HOME/hub,
/// ~/.cache/huggingface/hub); there a file is found without the first folder of its name.
[[nodiscard]] std::vector<std::filesystem::path> hub_snapshots(const DatasetDefinition::Source& source);
/// Likewise in snapshots of the hub: "sciq/test.json" is "test.json".
[[nodiscard]] std::vector<DataFile> find_hub_files(const std::string& pattern, const DatasetDefinition::Source& source);
/// All of `names` in the first snapshot that has them; else nothing.
[[nodiscard]] std::vector<DataFile> find_snapshot_files(const std::vector<std::string>& names,
                                                        const DatasetDefinition::Source& source);

}  // namespace lowbit
