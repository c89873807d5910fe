#include <algorithm>
#include <cmath>
#include <map>
#include <system_error>

#include "base/sha256.h"
#include "data/definition.h"
#include "data/files.h"
#include "data/generators.h"
#include "data/hub_cache.h"
#include "data/questions.h"
#include "data/readers.h"
#include "data/unpack.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/data/dataset.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

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

void check_sum(const DatasetDefinition& definition, const DataFile& file, const std::string& expected) {
  const std::string found = sha256(MappedFile::open(file.path)->bytes());
  if (found == expected) return;
  fail(ErrorCode::kData, "dataset '{}': file '{}' has the SHA-256 {}, expected {}: it is damaged, or another version{}",
       definition.name, file.path.string(), found, expected, with_remedy(definition));
}

/// Rows of a table come as JSON lines, however the definition's other files are read.
DatasetDefinition as_read(DatasetDefinition definition, const DataFile& file) {
  const std::string extension = file.path.extension().string();
  if (is_table(extension) || (file.hub_layout && extension == ".jsonl")) definition.reader = RowReader::kJsonl;
  return definition;
}

/// Where the hub keeps a split that is not in a data folder.
std::string hub_remedy(const DatasetDefinition::Source& source, const std::string& split) {
  if (source.config.empty()) return {};
  return fmt::format(
      "; or fetch it into the hub's local cache: hf download {} --repo-type dataset --revision refs/convert/parquet "
      "--include '{}/{}/*'",
      source.hub, source.config, split);
}

/// The share of a split's documents or rows.
template <typename Unit>
void keep_share(std::vector<Unit>& documents, const DatasetDefinition::Split& split) {
  if (split.documents > 0 && static_cast<std::int64_t>(documents.size()) > split.documents) {
    documents.erase(documents.begin() + split.documents, documents.end());
  }
  const auto count = static_cast<double>(documents.size());
  const auto begin = static_cast<std::ptrdiff_t>(std::floor(split.from * count));
  const auto end = static_cast<std::ptrdiff_t>(std::floor(split.to * count));
  documents.erase(documents.begin() + end, documents.end());
  documents.erase(documents.begin(), documents.begin() + begin);
}

bool has_text(const std::vector<std::string>& documents) {
  return std::any_of(documents.begin(), documents.end(), [](const std::string& text) { return !text.empty(); });
}

/// What a task shows as text: its questions, with or without their answers. A row that cannot be used is an error here,
/// since a text without it would silently be another one.
void add_questions(const DatasetDefinition& definition, const Rows& rows, const CorpusOptions& options,
                   Corpus& corpus) {
  const auto refuse = [&](const std::string& where, const std::string& message) {
    fail(ErrorCode::kData, "dataset '{}': {}: {}", definition.name, where, message);
  };
  if (!rows.problems.empty()) refuse(rows.problems.front().where, rows.problems.front().message);
  const std::vector<std::string> groups = resolve_groups(definition, options.groups, rows);
  for (const Row& row : rows.rows) {
    if (!groups.empty() && std::find(groups.begin(), groups.end(), row.group) == groups.end()) continue;
    try {
      const Json columns = columns_of(*definition.task, row);
      if (!is_question(*definition.task, columns)) continue;
      const Question question = make_question(*definition.task, columns);
      const SolvedQuestion whole = solved(*definition.task, question);
      const std::string text = options.answers ? whole.text : unsolved(question);
      corpus.turns.push_back({std::min(whole.question_end, text.size()), std::min(whole.answer_begin, text.size())});
      corpus.documents.push_back(text);
    } catch (const Error& error) {
      refuse(row.where, error.what());
    }
    if (!row.group.empty()) corpus.groups.push_back(row.group);
  }
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

std::vector<DataFile> DatasetCatalog::locate(const DatasetDefinition& definition, const DatasetDefinition::Split& split,
                                             const std::string& pattern) const {
  if (fs::path(pattern).is_absolute()) {
    if (is_file(pattern)) return {{.name = pattern, .path = pattern, .group = {}}};
    fail(ErrorCode::kData, "dataset '{}': file '{}' is missing{}", definition.name, pattern, with_remedy(definition));
  }
  const std::vector<fs::path> folders = folders_of(definition, data_folders_);
  std::vector<DataFile> files = find_data_files(pattern, folders);
  if (files.empty()) files = find_hub_files(pattern, definition.source);
  if (!files.empty()) return files;
  std::vector<std::string> searched;
  for (const fs::path& folder : folders) searched.push_back(folder.string());
  for (const fs::path& folder : hub_snapshots(definition.source)) searched.push_back(folder.string());
  fail(ErrorCode::kData, "dataset '{}': file '{}' is missing; searched in {}{}{}", definition.name, pattern,
       list_text(searched), with_remedy(definition), hub_remedy(definition.source, split.hub_split));
}

std::vector<DataFile> DatasetCatalog::files_of(const DatasetDefinition& definition,
                                               const DatasetDefinition::Split& split) const {
  const std::vector<fs::path> folders = folders_of(definition, data_folders_);
  const auto lies_here = [&](const std::string& pattern) { return !find_data_files(pattern, folders).empty(); };
  if (!definition.source.hub.empty() && std::none_of(split.files.begin(), split.files.end(), lies_here)) {
    std::vector<DataFile> files = find_snapshot_files(split.hub_files, definition.source);
    if (files.empty()) files = find_hub_split(definition.source, split.hub_split);
    if (!files.empty()) return files;
  }
  std::vector<DataFile> all;
  for (std::size_t i = 0; i < split.files.size(); ++i) {
    std::vector<DataFile> files = locate(definition, split, split.files[i]);
    if (!split.sha256.empty()) check_sum(definition, files.front(), split.sha256[i]);
    std::move(files.begin(), files.end(), std::back_inserter(all));
  }
  return all;
}

const DatasetDefinition::Split& DatasetCatalog::split_of(const DatasetDefinition& definition,
                                                         const std::string& name) const {
  const auto found = definition.splits.find(name);
  if (found != definition.splits.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, split] : definition.splits) names.push_back(known);
  fail(ErrorCode::kConfig, "dataset '{}' has no split '{}'; it has {}", definition.name, name, list_text(names));
}

Rows DatasetCatalog::rows_of(const DatasetDefinition& definition, const std::string& split_name) const {
  const DatasetDefinition::Split& split = split_of(definition, split_name);
  Rows all;
  if (definition.reader == RowReader::kGenerated) {
    for (const std::string& name : split.files) {
      for (Row& row : generate_rows(name, split_name, split.documents)) all.rows.push_back(std::move(row));
    }
  } else {
    for (const DataFile& file : files_of(definition, split)) {
      Rows rows = read_rows(as_read(definition, file), read_bytes(file.path), file.name);
      for (Row& row : rows.rows) {
        row.group = file.group;
        row.hub_layout = file.hub_layout;
        all.rows.push_back(std::move(row));
      }
      std::move(rows.problems.begin(), rows.problems.end(), std::back_inserter(all.problems));
    }
  }
  keep_share(all.rows, split);
  std::map<std::string, std::int64_t> count;
  for (Row& row : all.rows) row.number = count[row.group]++;
  return all;
}

Corpus DatasetCatalog::load(const DatasetDefinition& definition, const std::string& split_name,
                            const CorpusOptions& options) const {
  const DatasetDefinition::Split& split = split_of(definition, split_name);
  Corpus corpus{.dataset = definition.name,
                .split = split_name,
                .documents = {},
                .groups = {},
                .separator = definition.separator,
                .hash = {}};
  if (definition.task != nullptr) {
    add_questions(definition, rows_of(definition, split_name), options, corpus);
  } else if (!options.answers || !options.groups.empty()) {
    fail(ErrorCode::kConfig, "dataset '{}' is plain text: it has no {}", definition.name,
         options.answers ? "groups" : "answers to leave out");
  } else {
    corpus.documents = documents_of(definition, split);
    keep_share(corpus.documents, split);
  }
  if (!has_text(corpus.documents)) {
    fail(ErrorCode::kData, "dataset '{}': split '{}' has no text in {}{}", definition.name, split_name,
         list_text(split.files), with_remedy(definition));
  }
  corpus.hash = hash_of_corpus(definition, corpus);
  return corpus;
}

std::vector<std::string> DatasetCatalog::documents_of(const DatasetDefinition& definition,
                                                      const DatasetDefinition::Split& split) const {
  std::vector<std::string> all;
  for (const DataFile& file : files_of(definition, split)) {
    const std::int64_t left = split.documents == 0 ? 0 : split.documents - static_cast<std::int64_t>(all.size());
    if (split.documents > 0 && left <= 0) return all;
    const std::string text = read_text(file.path, reads_by_line(definition.reader) ? left : 0);
    std::vector<std::string> documents = read_documents(as_read(definition, file), text, file.path.string(), left);
    std::move(documents.begin(), documents.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace lowbit
