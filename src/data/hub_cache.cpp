#include "data/hub_cache.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <regex>
#include <string_view>
#include <system_error>

#include "data/files.h"
#include "data/unicode_text.h"
#include "lowbit/base/files.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path hugging_face_folder() {
  if (const std::string home = environment("HF_HOME"); !home.empty()) return home;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) return fs::path(cache) / "huggingface";
  return fs::path(environment("HOME")) / ".cache" / "huggingface";
}

fs::path hub_folder() {
  const std::string cache = environment("HF_HUB_CACHE");
  return cache.empty() ? hugging_face_folder() / "hub" : fs::path(cache);
}

std::string folder_of_hub(const std::string& hub) {
  std::string text = "datasets--" + hub;
  if (const std::size_t slash = text.find('/'); slash != std::string::npos) text.replace(slash, 1, "--");
  return text;
}

/// As the package datasets names folders and files: "PubMedQA" is "pub_med_qa".
std::string snake_case(const std::string& name) {
  static const std::regex before_a_word("([A-Z]+)([A-Z][a-z])");
  static const std::regex after_a_word("([a-z0-9])([A-Z])");
  return lower_case(std::regex_replace(std::regex_replace(name, before_a_word, "$1_$2"), after_a_word, "$1_$2"));
}

/// A dataset's snapshots, that of the branch "main" first, or that of the revision.
std::vector<fs::path> snapshots_of(const std::string& hub, const std::string& revision) {
  const fs::path folder = hub_folder() / folder_of_hub(hub);
  if (!revision.empty()) return {folder / "snapshots" / revision};
  std::vector<fs::path> all = entries_of(folder / "snapshots");
  if (const fs::path main = folder / "refs" / "main"; is_file(main)) {
    const std::string commit = read_file(main);
    std::stable_partition(all.begin(), all.end(), [&](const fs::path& path) { return path.filename() == commit; });
  }
  return all;
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::size_t number_of(std::string_view digits) {
  std::size_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

/// "test-00001-of-00003", "test-00001-of-00003-9d6a9f4fbb0a9d81", "swag-test": which part of how many of which split.
struct SplitFile {
  std::string prefix;  ///< "swag"
  std::string split;
  std::size_t part = 0;
  std::size_t parts = 1;
};

std::optional<SplitFile> split_file_of(const std::string& stem) {
  // Names of splits have no dash. Older uploads carry a digest at the end.
  static const std::regex form(R"((?:(.*?)-)??([\w.]+)(?:-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?)?)");
  std::smatch match;
  if (!std::regex_match(stem, match, form)) return std::nullopt;
  SplitFile file{.prefix = match.str(1), .split = match.str(2)};
  if (match[3].matched) {
    file.part = number_of(match.str(3));
    file.parts = number_of(match.str(4));
  }
  return file;
}

bool holds_rows(const fs::path& path) {
  const fs::path extension = path.extension();
  return extension == ".parquet" || extension == ".arrow" || extension == ".jsonl";
}

/// Parts 0 to n - 1, or nothing.
std::vector<fs::path> all_parts(const std::map<std::size_t, fs::path>& found, std::size_t parts) {
  if (found.size() != parts || found.rbegin()->first + 1 != parts) return {};
  std::vector<fs::path> files;
  for (const auto& [part, path] : found) files.push_back(path);
  return files;
}

/// The files of `split` that lie in `folder` under its name, those without a prefix first.
std::vector<fs::path> named_files(const fs::path& folder, const std::string& split) {
  std::map<std::pair<std::string, std::size_t>, std::map<std::size_t, fs::path>> sets;  // by prefix and parts
  for (const fs::path& path : entries_of(folder)) {
    if (!holds_rows(path) || !is_file(path)) continue;
    const std::optional<SplitFile> file = split_file_of(path.stem().string());
    if (file && file->split == split) sets[{file->prefix, file->parts}].emplace(file->part, path);
  }
  for (const auto& [key, found] : sets) {
    if (std::vector<fs::path> files = all_parts(found, key.second); !files.empty()) return files;
  }
  return {};
}

/// The files 0000.parquet, 0001.parquet ... of `folder`.
std::vector<fs::path> numbered_files(const fs::path& folder) {
  std::map<std::size_t, fs::path> found;
  for (const fs::path& path : entries_of(folder)) {
    const std::string stem = path.stem().string();
    if (holds_rows(path) && is_file(path) && all_digits(stem)) found.emplace(number_of(stem), path);
  }
  return found.empty() ? std::vector<fs::path>() : all_parts(found, found.rbegin()->first + 1);
}

std::vector<fs::path> snapshot_files(const fs::path& snapshot, const std::string& config, const std::string& split) {
  if (std::vector<fs::path> files = named_files(snapshot / config, split); !files.empty()) return files;
  if (std::vector<fs::path> files = numbered_files(snapshot / config / split); !files.empty()) return files;
  if (config != "default") return {};
  if (std::vector<fs::path> files = named_files(snapshot / "data", split); !files.empty()) return files;
  return named_files(snapshot, split);
}

/// In the newest version, as its name sorts, that has the split.
std::vector<fs::path> cached_files(const fs::path& config_folder, const std::string& split) {
  std::vector<fs::path> versions = entries_of(config_folder);
  std::reverse(versions.begin(), versions.end());
  for (const fs::path& version : versions) {
    for (const fs::path& build : entries_of(version)) {
      if (build.filename().string().find(".incomplete") != std::string::npos) continue;
      if (std::vector<fs::path> files = named_files(build, split); !files.empty()) return files;
    }
  }
  return {};
}

std::vector<std::string> configs_in(const fs::path& folder, const std::string& config) {
  if (config != "*") return {config};
  std::vector<std::string> names;
  std::error_code ignored;
  for (const fs::path& path : entries_of(folder)) {
    if (fs::is_directory(path, ignored) && lower_case(path.filename().string()) != "all")
      names.push_back(path.filename().string());
  }
  return names;
}

/// `files_of(config)` for each config below `root`, called as they are named below it.
template <typename FilesOf>
std::vector<DataFile> split_below(const fs::path& root, const std::string& config, FilesOf files_of) {
  std::vector<DataFile> all;
  for (const std::string& name : configs_in(root, config)) {
    for (const fs::path& path : files_of(name)) {
      all.push_back({.name = path.lexically_relative(root).string(),
                     .path = path,
                     .group = config == "*" ? name : std::string(),
                     .hub_layout = true});
    }
  }
  return all;
}

}  // namespace

std::vector<HubDataset> hub_datasets(const DatasetDefinition::Source& source) {
  if (source.hub.empty()) return {};
  std::vector<HubDataset> all = {{.name = source.hub, .config = source.config}};
  for (const std::string& other : source.also) {
    const std::size_t colon = other.find(':');
    all.push_back({.name = other.substr(0, colon),
                   .config = colon == std::string::npos ? source.config : other.substr(colon + 1)});
  }
  return all;
}

std::vector<fs::path> hub_snapshots(const DatasetDefinition::Source& source) {
  std::vector<fs::path> all;
  for (const HubDataset& dataset : hub_datasets(source)) {
    std::vector<fs::path> snapshots = snapshots_of(dataset.name, source.revision);
    std::move(snapshots.begin(), snapshots.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<DataFile> find_hub_files(const std::string& pattern, const DatasetDefinition::Source& source) {
  const std::size_t slash = pattern.find('/');
  return find_data_files(slash == std::string::npos ? pattern : pattern.substr(slash + 1), hub_snapshots(source));
}

std::vector<DataFile> find_snapshot_files(const std::vector<std::string>& names,
                                          const DatasetDefinition::Source& source) {
  for (const fs::path& folder : hub_snapshots(source)) {
    std::vector<DataFile> files;
    for (const std::string& name : names) {
      if (!is_file(folder / name)) break;
      files.push_back({.name = name, .path = folder / name, .group = {}, .hub_layout = true});
    }
    if (files.size() == names.size()) return files;
  }
  return {};
}

fs::path datasets_cache_folder(const std::string& hub) {
  const std::string cache = environment("HF_DATASETS_CACHE");
  const std::size_t slash = hub.find('/');
  const std::string owner = slash == std::string::npos ? "" : hub.substr(0, slash) + "___";
  const std::string name = slash == std::string::npos ? hub : hub.substr(slash + 1);
  return (cache.empty() ? hugging_face_folder() / "datasets" : fs::path(cache)) / (owner + snake_case(name));
}

std::vector<DataFile> find_hub_split(const DatasetDefinition::Source& source, const std::string& split) {
  if (source.config.empty()) return {};
  for (const HubDataset& dataset : hub_datasets(source)) {
    for (const fs::path& snapshot : snapshots_of(dataset.name, source.revision)) {
      std::vector<DataFile> files = split_below(
          snapshot, dataset.config, [&](const std::string& config) { return snapshot_files(snapshot, config, split); });
      if (!files.empty()) return files;
    }
    const fs::path cache = datasets_cache_folder(dataset.name);
    std::vector<DataFile> files = split_below(
        cache, dataset.config, [&](const std::string& config) { return cached_files(cache / config, split); });
    if (!files.empty()) return files;
  }
  return {};
}

}  // namespace lowbit
