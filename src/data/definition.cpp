#include "data/definition.h"

#include <algorithm>

#include "data/generators.h"
#include "data/hub_cache.h"
#include "data/rows.h"
#include "data/task.h"
#include "data/unpack.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// Absolute names and ".." would tie a definition to one machine.
bool stays_inside(const std::filesystem::path& file) {
  return !file.empty() && file.is_relative() &&
         std::none_of(file.begin(), file.end(), [](const std::filesystem::path& part) { return part == ".."; });
}

struct DefinitionFields {
  DatasetDefinition definition;
  ConfigNode splits, task, source;

  void visit(FieldVisitor& v) {
    DatasetDefinition& d = definition;
    v.required("summary");
    v.field("summary", d.summary, "what the texts are, in one sentence");
    v.field("language", d.language, "language code, such as en");
    v.field("domain", d.domain, "kind of text: literary, technical, encyclopedia ...");
    v.required("licence");
    v.field("licence", d.licence, "licence of the texts");
    v.field("scenario", d.scenario, "what a task is about: commonsense, reading comprehension ...");
    v.field("source", source, "where the files come from: {hub, config, also, revision, url, package}");
    v.field("remedy", d.remedy, "what to do when the files are missing");
    v.field("version", d.version, "raised when the rows change", {1, 1000000});
    v.choice("reader", d.reader,
             {"text", "paragraphs", "lines", "jsonl", "delimited", "wikitext_rows", "wikitext_pages", "json", "csv",
              "tsv", "blocks", "conll", "generated"},
             "how a file becomes documents or rows");
    v.field("column", d.column, "the text's column, for readers of rows");
    v.field("rows", d.rows, "for json: where the rows are, such as data.paragraphs.qas");
    v.field("header", d.header, "the columns' names, for csv and tsv without a header and for blocks");
    v.field("delimiter", d.delimiter, "what stands between documents, for delimited");
    v.field("separator", d.separator, "put between documents when they are joined");
    v.required("splits");
    v.field("splits", splits, "split name -> files, documents, from, to");
    v.field("task", task, "how rows become questions");
  }

  void validate(ConfigProblems& problems, const SourceMark& mark) {
    if ((definition.reader == RowReader::kDelimited) == definition.delimiter.empty()) {
      problems.add(mark, "'delimiter' belongs to 'reader: delimited', which needs it");
    }
    decode_fields(source, definition.source, problems);
    if (!definition.source.config.empty() && definition.source.hub.empty()) {
      problems.add(source.mark(), "'config' is a part of a dataset of the hub, which 'hub' names");
    }
    check_hub_names(problems);
    check_rows(problems, mark);
    if (!task.is_null()) definition.task = decode_task(task, problems);
    if (splits.is_null()) return;
    if (!splits.is_map() || splits.entries().empty()) {
      problems.add(splits.mark(), "'splits' must be a map of split names, such as {test: {files: [a.txt]}}");
      return;
    }
    for (const ConfigNode::Entry& entry : splits.entries()) {
      DatasetDefinition::Split& split = definition.splits[entry.key.text()];
      decode_fields(entry.value, split, problems);
      check_generators(entry.value.mark(), split, problems);
      check_tables(entry.value.mark(), split, problems);
      if (!split.hub_split.empty() && definition.source.config.empty()) {
        problems.add(entry.value.mark(), "'hub_split' is a split of the source's 'config', which is missing");
      }
      if (split.hub_split.empty()) split.hub_split = entry.key.text();
      if (!stays_inside(split.hub_split)) {
        problems.add(entry.value.mark(), fmt::format("split '{}' must be the name of a folder", split.hub_split));
      }
    }
    check_task_splits(problems);
  }

  void check_hub_names(ConfigProblems& problems) const {
    const DatasetDefinition::Source& from = definition.source;
    if (!from.also.empty() && from.config.empty()) {
      problems.add(source.mark(),
                   "'also' names other datasets of the hub whose splits are found by 'config', which is "
                   "missing");
      return;
    }
    if (!from.also.empty() && !from.revision.empty()) {
      problems.add(source.mark(), "'also' and 'revision' exclude each other: a commit is one of 'hub' only");
    }
    for (const HubDataset& dataset : hub_datasets(from)) {
      if (!stays_inside(dataset.name)) {
        problems.add(source.mark(), fmt::format("hub dataset '{}' must be a name such as ehovy/race", dataset.name));
      }
      if (!dataset.config.empty() && !stays_inside(dataset.config)) {
        problems.add(source.mark(), fmt::format("config '{}' must be the name of a folder", dataset.config));
      }
    }
  }

  void check_rows(ConfigProblems& problems, const SourceMark& mark) const {
    const RowReader reader = definition.reader;
    if (!definition.rows.empty() && reader != RowReader::kJson) {
      problems.add(mark, "'rows' belongs to 'reader: json'");
    }
    const bool takes_header = reader == RowReader::kCsv || reader == RowReader::kTsv || reader == RowReader::kBlocks;
    if (!definition.header.empty() && !takes_header) {
      problems.add(mark, "'header' belongs to the readers csv, tsv and blocks");
    }
    if (definition.header.empty() && reader == RowReader::kBlocks) {
      problems.add(mark, "'reader: blocks' needs 'header', a name for each line of a row");
    }
    if (!task.is_null() && !reads_rows(reader)) {
      problems.add(task.mark(), "'task' needs a reader of rows: jsonl, json, csv, tsv, blocks, conll or generated");
    }
  }

  // What is read of a table are lines of JSON.
  void check_tables(const SourceMark& mark, const DatasetDefinition::Split& split, ConfigProblems& problems) const {
    if (definition.reader == RowReader::kJsonl) return;
    for (const std::vector<std::string>* list : {&split.files, &split.hub_files}) {
      for (const std::string& file : *list) {
        if (!is_table(std::filesystem::path(file).extension().string())) continue;
        problems.add(
            mark,
            fmt::format("file '{}' is a table, whose rows are read as JSON lines: it needs 'reader: jsonl'", file));
      }
    }
  }

  void check_generators(const SourceMark& mark, const DatasetDefinition::Split& split, ConfigProblems& problems) const {
    if (definition.reader != RowReader::kGenerated) return;
    if (split.documents == 0) problems.add(mark, "'reader: generated' needs 'documents', how many rows are made");
    for (const std::string& name : split.files) {
      const std::vector<std::string> known = generator_names();
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      problems.add(mark, fmt::format("unknown generator '{}'{}", name, suggestion(name, known)));
    }
  }

  void check_task_splits(ConfigProblems& problems) const {
    if (definition.task == nullptr) return;
    for (const std::string& name : {definition.task->split, definition.task->shot_split}) {
      if (name.empty() || definition.splits.contains(name)) continue;
      std::vector<std::string> names;
      for (const auto& [known, split] : definition.splits) names.push_back(known);
      problems.add(task.mark(), fmt::format("the task uses split '{}', which 'splits' does not have{}", name,
                                            suggestion(name, names)));
    }
  }
};

void check_sums(const std::vector<std::string>& files, const std::vector<std::string>& sums, ConfigProblems& problems,
                const SourceMark& mark) {
  for (const std::string& sum : sums) {
    if (sum.size() == 64 && sum.find_first_not_of("0123456789abcdef") == std::string::npos) continue;
    problems.add(mark,
                 fmt::format("sha256 '{}' must be 64 hexadecimal digits in lower case, as sha256sum prints", sum));
  }
  if (sums.empty()) return;
  const bool patterns = std::any_of(files.begin(), files.end(),
                                    [](const std::string& file) { return file.find('*') != std::string::npos; });
  if (patterns) problems.add(mark, "'sha256' belongs to files that are named whole, without '*'");
  if (sums.size() == files.size()) return;
  problems.add(mark,
               fmt::format("{} sha256 for {} files; tell one for each, in their order", sums.size(), files.size()));
}

}  // namespace

void DatasetDefinition::Source::visit(FieldVisitor& v) {
  v.field("hub", hub, "dataset of the Hugging Face hub");
  v.field("config", config,
          "which of the hub's configs; its files are found by the names that the hub gives. \"*\": each, as a group");
  v.field("also", also,
          "other datasets of the hub with the same rows (older names, copies), with :config where theirs is another");
  v.field("revision", revision, "commit of the hub");
  v.field("url", url, "address of the files");
  v.field("package", package, "package of Debian");
}

void DatasetDefinition::Split::visit(FieldVisitor& v) {
  v.required("files");
  v.field("files", files,
          "files below a data folder; a name in .gz, .bz2 or .zst is unpacked, .parquet and .arrow are read as "
          "JSON lines, a '*' names the group");
  v.field("hub_files", hub_files, "the same in a snapshot of the hub, where they are called otherwise there");
  v.field("hub_split", hub_split, "what the hub calls the split, when not as here");
  v.field("sha256", sha256, "checksum of each of 'files', which then must be just these");
  v.field("documents", documents, "only the first so many documents; 0: all", {0, std::int64_t{1} << 40});
  v.field("from", from, "share of the documents where the split begins", {0.0, 1.0});
  v.field("to", to, "share of the documents where the split ends", {0.0, 1.0});
}

void DatasetDefinition::Split::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (from >= to) problems.add(mark, fmt::format("a split from {} to {} has no documents", from, to));
  check_sums(files, sha256, problems, mark);
  for (const std::vector<std::string>* list : {&files, &hub_files}) {
    for (const std::string& file : *list) {
      if (stays_inside(file)) continue;
      problems.add(mark, fmt::format("file '{}' must be relative to a data folder and stay inside it", file));
    }
  }
}

DatasetDefinition load_definition(const std::filesystem::path& path) {
  const ConfigNode node = ConfigNode::load(path);
  DefinitionFields fields;
  ConfigProblems problems;
  decode_fields(node, fields, problems);
  problems.throw_if_any();
  fields.definition.name = path.stem().string();
  fields.definition.file = path;
  return fields.definition;
}

DatasetDefinition definition_of_text(const std::filesystem::path& path) {
  DatasetDefinition definition;
  definition.name = path.stem().string();
  definition.summary = "the paragraphs of a text file";
  definition.language.clear();
  definition.remedy =
      "of a text file's paragraphs, which blank lines separate, the first 80 % are 'train' and the rest 'test'";
  definition.reader = RowReader::kParagraphs;
  definition.file = path;
  const std::string file = std::filesystem::absolute(path).string();
  definition.splits["train"] = {.files = {file}, .to = 0.8};
  definition.splits["test"] = {.files = {file}, .from = 0.8};
  return definition;
}

}  // namespace lowbit
