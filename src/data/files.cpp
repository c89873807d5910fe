#include "data/files.h"

#include <algorithm>
#include <system_error>

namespace lowbit {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    paths.push_back(entry->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

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

}  // namespace lowbit
