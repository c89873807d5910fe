#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/config/fields.h"

namespace lowbit LOWBIT_EXPORT {

/// How a file's bytes become rows.
enum class RowReader {
  kText,           ///< the whole file is one document, as it is
  kParagraphs,     ///< documents are separated by blank lines
  kLines,          ///< a document a line, without its line end; blank lines included
  kJsonl,          ///< a JSON object a line
  kDelimited,      ///< documents are separated by `delimiter` and trimmed; empty ones are left out
  kWikitextRows,   ///< as the Hugging Face hub serves WikiText: a line with its line feed, a blank line as an empty row
  kWikitextPages,  ///< WikiText's articles: a line " = Title = " begins one (the "page" form of the lm-eval harness)
  kJson,           ///< one JSON value; `rows` says where in it the rows are
  kCsv,            ///< a table separated by commas, quoted as RFC 4180 says
  kTsv,            ///< a table separated by tabs
  kBlocks,         ///< a row is as many lines as `header` has names
  kConll,          ///< sentences of tagged words, a word a line, for named entities (data/conll.h)
  kGenerated,      ///< rows made by a rule (data/generators.h); `files` names it, `documents` says how many
};

struct Task;
struct Rows;
struct DataFile;
struct ExampleOptions;
struct ExampleSet;

/// One YAML file of datasets/: where rows come from and what they are. A new dataset is a new file and no code. Its
/// name is the file's name without ".yaml".
///
///   summary: Articles of the English Wikipedia
///   licence: CC BY-SA 3.0
///   reader: wikitext_rows
///   splits:
///     test: {files: [wikitext2/wiki.test.raw]}
struct DatasetDefinition {
  std::string name;
  std::string summary;
  std::string language = "en";
  std::string domain;  ///< "literary", "technical", "encyclopedia" ...
  std::string licence;
  std::string remedy;    ///< what to do when the files are missing
  int version = 1;       ///< raised when rows or template change
  std::string scenario;  ///< "commonsense", "reading comprehension" ... for tasks
  /// Where the files come from, for people and for the search in the local cache of the Hugging Face hub.
  struct Source {
    std::string hub;     ///< "Rowan/hellaswag"
    std::string config;  ///< the hub's part that holds the splits, "default" where it has one only; "*": the groups
    /// Other datasets of the hub with the same rows, older names and copies, looked at next: "race", or
    /// "ybisk/piqa:plain_text" where their config is called otherwise.
    std::vector<std::string> also = {};
    std::string revision;  ///< a commit of `hub`; empty: any
    std::string url;
    std::string package;  ///< of Debian
    void visit(FieldVisitor& v);
  };
  Source source;
  RowReader reader = RowReader::kText;
  std::string column = "text";      ///< the document, for readers of rows
  std::string rows;                 ///< for `kJson`: "data.paragraphs.qas"
  std::vector<std::string> header;  ///< the columns' names, for files that do not tell them
  std::string delimiter;            ///< for `kDelimited`
  std::string separator = "\n\n";   ///< put between documents when they are joined
  struct Split {
    /// Relative to a data folder; a name in .gz, .bz2 or .zst is unpacked, the rows of one in .parquet or .arrow are
    /// read as JSON lines. A '*' in the last part stands for any text, which then is the rows' group (the subject).
    std::vector<std::string> files;
    /// What the hub calls them, below its snapshot, where that is not `files` without their first folder.
    std::vector<std::string> hub_files = {};
    std::string hub_split = {};            ///< what the hub calls the split; decoded to the split's own name by default
    std::vector<std::string> sha256 = {};  ///< of each of `files`, in hexadecimal digits; empty: not looked at
    std::int64_t documents = 0;            ///< only the first so many of the files; 0: all
    double from = 0.0;                     ///< share of those documents where the split begins, and ends
    double to = 1.0;
    void visit(FieldVisitor& v);
    void validate(ConfigProblems& problems, const SourceMark& mark) const;
  };
  std::map<std::string, Split> splits;  ///< "train" calibrates, "test" is scored
  std::shared_ptr<const Task> task;     ///< how rows become questions; null for plain text
  std::filesystem::path file;           ///< the definition's own
};

/// The documents of one split.
struct Corpus {
  std::string dataset;
  std::string split;
  std::vector<std::string> documents;
  std::vector<std::string> groups;  ///< of each document; empty for text and for tasks without groups
  std::string separator;
  Hash hash;  ///< of definition version and documents
  /// Where in a document its question ends, and its answer begins (the document's end without answers).
  struct Turns {
    std::size_t question_end;
    std::size_t answer_begin;
  };
  std::vector<Turns> turns = {};  ///< of each document; empty for text
  /// The documents with the separator between them.
  [[nodiscard]] std::string joined() const;
  [[nodiscard]] std::uint64_t bytes() const;  ///< of the joined text
};

/// What is wanted of a split as text.
struct CorpusOptions {
  std::vector<std::string> groups = {};  ///< of a task: only these subjects or domains; empty: all
  bool answers = true;                   ///< of a task: behind each question its right answer
};

/// Finds definitions by name in folders, and their files in data folders.
class DatasetCatalog {
 public:
  /// Folders are searched in order; those that do not exist are passed over.
  DatasetCatalog(std::vector<std::filesystem::path> definition_folders,
                 std::vector<std::filesystem::path> data_folders);

  /// Decodes and checks a definition. `name` is a dataset's name, or a path: a .yaml definition, or a plain text file,
  /// whose blank-line separated paragraphs then are the documents (first 80 % train, last 20 % test).
  /// Throws `kConfig`, with the nearest known name.
  [[nodiscard]] DatasetDefinition find(const std::string& name) const;
  /// Sorted by name; of two of one name that of the earlier folder.
  [[nodiscard]] std::vector<DatasetDefinition> all() const;
  /// A definition's files are looked for in the data folders, beside the definition, then in the local caches of the
  /// Hugging Face hub and of the Python package datasets. Throws `kConfig` when the split is unknown; `kData` when a
  /// file is missing (naming the folders searched and the remedy), not the one whose checksum is told, damaged or not
  /// valid UTF-8 (naming file, line and byte), and when the split has no text. A byte order mark at a file's start is
  /// dropped. The documents of a task are its questions, without description and shots. Options that only tasks have
  /// throw `kConfig` for plain text.
  [[nodiscard]] Corpus load(const DatasetDefinition& definition, const std::string& split,
                            const CorpusOptions& options = {}) const;
  /// The questions of a task (lowbit/data/examples.h). Rows that cannot be used are told, not dropped. Throws `kConfig`
  /// for a dataset without a task, unknown splits and groups, and shots from the scored split; `kData` when a file is
  /// missing or there is no usable row.
  [[nodiscard]] ExampleSet examples(const DatasetDefinition& definition, const ExampleOptions& options) const;

 private:
  [[nodiscard]] std::map<std::string, std::filesystem::path> definition_files() const;
  [[nodiscard]] std::vector<DataFile> files_of(const DatasetDefinition& definition,
                                               const DatasetDefinition::Split& split) const;
  [[nodiscard]] std::vector<DataFile> locate(const DatasetDefinition& definition, const DatasetDefinition::Split& split,
                                             const std::string& pattern) const;
  [[nodiscard]] const DatasetDefinition::Split& split_of(const DatasetDefinition& definition,
                                                         const std::string& name) const;
  [[nodiscard]] std::vector<std::string> documents_of(const DatasetDefinition& definition,
                                                      const DatasetDefinition::Split& split) const;
  [[nodiscard]] Rows rows_of(const DatasetDefinition& definition, const std::string& split) const;
  std::vector<std::filesystem::path> definition_folders_;
  std::vector<std::filesystem::path> data_folders_;
};

}  // namespace LOWBIT_EXPORT
