#include <algorithm>
#include <cmath>
#include <system_error>

#include "data/definition.h"
#include "data/readers.h"
#include "lowbit/base/error.h"
#include "lowbit/data/dataset.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_yaml(const fs::path& path) { return path.extension() == ".yaml" || path.extension() == ".yml"; }

std::string list_text(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "'" : ", '") + item + "'";
  return text.empty() ? "none" : text;
}

/// A definition's folders in the order in which its files are looked for.
std::vector<fs::path> folders_of(const DatasetDefinition& definition, std::vector<fs::path> data_folders) {
  if (!definition.file.empty()) data_folders.push_back(definition.file.parent_path());
  return data_folders;
}

std::string with_remedy(const DatasetDefinition& definition) {
  return definition.remedy.empty() ? "" : "; " + definition.remedy;
}

void keep_share(std::vector<std::string>& documents, const DatasetDefinition::Split& split) {
  const auto count = static_cast<double>(documents.size());
  const auto begin = static_cast<std::ptrdiff_t>(std::floor(split.from * count));
  const auto end = static_cast<std::ptrdiff_t>(std::floor(split.to * count));
  documents.erase(documents.begin() + end, documents.end());
  documents.erase(documents.begin(), documents.begin() + begin);
}

bool has_text(const std::vector<std::string>& documents) {
  return std::any_of(documents.begin(), documents.end(), [](const std::string& text) { return !text.empty(); });
}

Hash hash_of_corpus(const DatasetDefinition& definition, const Corpus& corpus) {
  Hasher hasher;
  hasher.add(definition.version).add(corpus.separator).add(corpus.documents.size());
  for (const std::string& document : corpus.documents) hasher.add(document);
  return hasher.finish();
}

}  // namespace

std::uint64_t Corpus::bytes() const {
  std::uint64_t total = documents.empty() ? 0 : separator.size() * (documents.size() - 1);
  for (const std::string& document : documents) total += document.size();
  return total;
}

std::string Corpus::joined() const {
  std::string text;
  text.reserve(bytes());
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (i > 0) text += separator;
    text += documents[i];
  }
  return text;
}

DatasetCatalog::DatasetCatalog(std::vector<fs::path> definition_folders, std::vector<fs::path> data_folders)
    : definition_folders_(std::move(definition_folders)), data_folders_(std::move(data_folders)) {}

std::map<std::string, fs::path> DatasetCatalog::definition_files() const {
  std::map<std::string, fs::path> found;
  for (const fs::path& folder : definition_folders_) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      if (entry->path().extension() == ".yaml" && is_file(entry->path())) {
        found.emplace(entry->path().stem().string(), entry->path());
      }
    }
  }
  return found;
}

DatasetDefinition DatasetCatalog::find(const std::string& name) const {
  const fs::path path(name);
  const bool looks_like_path = name.find('/') != std::string::npos || path.has_extension();
  if (looks_like_path && is_file(path)) return is_yaml(path) ? load_definition(path) : definition_of_text(path);
  const std::map<std::string, fs::path> files = definition_files();
  if (const auto found = files.find(name); found != files.end()) return load_definition(found->second);
  if (looks_like_path) {
    fail(ErrorCode::kConfig, "dataset '{}': no such file, expected a definition (.yaml) or a text file", name);
  }
  std::vector<std::string> names;
  for (const auto& [known, file] : files) names.push_back(known);
  fail(ErrorCode::kConfig, "unknown dataset '{}'{}", name, suggestion(name, names));
}

std::vector<DatasetDefinition> DatasetCatalog::all() const {
  std::vector<DatasetDefinition> definitions;
  for (const auto& [name, file] : definition_files()) definitions.push_back(load_definition(file));
  return definitions;
}

fs::path DatasetCatalog::locate(const DatasetDefinition& definition, const std::string& file) const {
  std::vector<std::string> searched;
  if (fs::path(file).is_absolute()) {
    if (is_file(file)) return file;
    fail(ErrorCode::kData, "dataset '{}': file '{}' is missing{}", definition.name, file, with_remedy(definition));
  }
  for (const fs::path& folder : folders_of(definition, data_folders_)) {
    if (is_file(folder / file)) return folder / file;
    searched.push_back(folder.string());
  }
  fail(ErrorCode::kData, "dataset '{}': file '{}' is missing; searched in {}{}", definition.name, file,
       list_text(searched), with_remedy(definition));
}

Corpus DatasetCatalog::load(const DatasetDefinition& definition, const std::string& split_name) const {
  const auto found = definition.splits.find(split_name);
  if (found == definition.splits.end()) {
    std::vector<std::string> names;
    for (const auto& [name, split] : definition.splits) names.push_back(name);
    fail(ErrorCode::kConfig, "dataset '{}' has no split '{}'; it has {}", definition.name, split_name,
         list_text(names));
  }
  const DatasetDefinition::Split& split = found->second;
  Corpus corpus{
      .dataset = definition.name, .split = split_name, .documents = {}, .separator = definition.separator, .hash = {}};
  for (const std::string& file : split.files) {
    const std::int64_t left =
        split.documents == 0 ? 0 : split.documents - static_cast<std::int64_t>(corpus.documents.size());
    if (split.documents > 0 && left <= 0) break;
    const fs::path path = locate(definition, file);
    const std::string text = read_text(path, reads_by_line(definition.reader) ? left : 0);
    std::vector<std::string> documents = read_documents(definition, text, path.string(), left);
    std::move(documents.begin(), documents.end(), std::back_inserter(corpus.documents));
  }
  keep_share(corpus.documents, split);
  if (!has_text(corpus.documents)) {
    fail(ErrorCode::kData, "dataset '{}': split '{}' has no text in {}{}", definition.name, split_name,
         list_text(split.files), with_remedy(definition));
  }
  corpus.hash = hash_of_corpus(definition, corpus);
  return corpus;
}

}  // namespace lowbit
