#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/rows.h"
#include "lowbit/data/dataset.h"

namespace lowbit {

/// A dataset of the hub, "nyu-mll/glue", and the config that is meant; empty where a definition names none.
struct HubDataset {
  std::string name;
  std::string config;
};
/// `hub`, then what `also` names. None without `hub`.
[[nodiscard]] std::vector<HubDataset> hub_datasets(const DatasetDefinition::Source& source);

/// The folders of a source's snapshots in the local cache of the Hugging Face hub ($HF_HUB_CACHE, $HF_HOME/hub,
/// ~/.cache/huggingface/hub), of each dataset that of the branch "main" first; there a file is found without the first
/// folder of its name.
[[nodiscard]] std::vector<std::filesystem::path> hub_snapshots(const DatasetDefinition::Source& source);
/// Likewise in snapshots of the hub: "sciq/test.json" is "test.json".
[[nodiscard]] std::vector<DataFile> find_hub_files(const std::string& pattern, const DatasetDefinition::Source& source);
/// All of `names` in the first snapshot that has them; else nothing.
[[nodiscard]] std::vector<DataFile> find_snapshot_files(const std::vector<std::string>& names,
                                                        const DatasetDefinition::Source& source);

/// The files of a split of `source.config`, by the names that Hugging Face's libraries give:
///
///   <snapshot>/<config>/<split>-00000-of-00002.parquet      the hub's own; for "default" also in data/ or at the top
///   <snapshot>/<config>/<split>/0000.parquet                its branch refs/convert/parquet
///   <cache of datasets>/<owner>___<name>/<config>/<version>/<hash>/<name>-<split>.arrow
///
/// in the first of these places that has all of them: a numbered part that is missing makes the others no split.
/// Looked at for `hub`, then for each that `also` names. The config "*" is each that has the split, but for "all" or
/// "All", and the config's name is the rows' group.
[[nodiscard]] std::vector<DataFile> find_hub_split(const DatasetDefinition::Source& source, const std::string& split);

/// The folder of a dataset in the cache of the Python package datasets ($HF_DATASETS_CACHE, $HF_HOME/datasets,
/// ~/.cache/huggingface/datasets): "qiaojin/PubMedQA" is qiaojin___pub_med_qa.
[[nodiscard]] std::filesystem::path datasets_cache_folder(const std::string& hub);

}  // namespace lowbit
