#include "data/files.h"

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace lowbit {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    paths.push_back(entry->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// What the '*' of `pattern` stands for in `name`; empty when it does not match.
std::string matched(const std::string& name, const std::string& pattern) {
  const std::size_t star = pattern.find('*');
  const std::string tail = pattern.substr(star + 1);
  if (name.size() <= pattern.size() - 1 || !name.starts_with(pattern.substr(0, star)) || !name.ends_with(tail))
    return {};
  return name.substr(star, name.size() - (pattern.size() - 1));
}

std::vector<DataFile> files_in(const fs::path& folder, const std::string& pattern) {
  const fs::path full = folder / pattern;
  if (pattern.find('*') == std::string::npos) {
    if (!is_file(full)) return {};
    return {{.name = pattern, .path = full, .group = {}}};
  }
  std::vector<DataFile> files;
  for (const fs::path& path : entries_of(full.parent_path())) {
    const std::string group = matched(path.filename().string(), full.filename().string());
    if (group.empty() || !is_file(path)) continue;
    const fs::path name = fs::path(pattern).parent_path() / path.filename();
    files.push_back({.name = name.string(), .path = path, .group = group});
  }
  std::sort(files.begin(), files.end(), [](const DataFile& a, const DataFile& b) { return a.group < b.group; });
  return files;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path hub_folder() {
  if (const std::string cache = environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  return fs::path(environment("HOME")) / ".cache" / "huggingface" / "hub";
}

}  // namespace

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::vector<DataFile> find_data_files(const std::string& pattern, const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders) {
    std::vector<DataFile> files = files_in(folder, pattern);
    if (!files.empty()) return files;
  }
  return {};
}

std::vector<fs::path> hub_snapshots(const DatasetDefinition::Source& source) {
  if (source.hub.empty()) return {};
  std::string folder = "datasets--" + source.hub;
  if (const std::size_t slash = folder.find('/'); slash != std::string::npos) folder.replace(slash, 1, "--");
  const fs::path snapshots = hub_folder() / folder / "snapshots";
  if (!source.revision.empty()) return {snapshots / source.revision};
  return entries_of(snapshots);
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
      if (is_file(folder / name)) files.push_back({.name = name, .path = folder / name, .group = {}});
    }
    if (files.size() == names.size()) return files;
  }
  return {};
}

}  // namespace lowbit
