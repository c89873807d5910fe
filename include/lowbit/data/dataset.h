#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/config/fields.h"

namespace lowbit LOWBIT_EXPORT {

/// How a file's bytes become rows.
enum class RowReader {
  kText,        ///< the whole file is one document
  kParagraphs,  ///< documents are separated by blank lines
  kLines,       ///< a document a line, empty lines included (WikiText)
  kJsonl,       ///< a JSON object a line; `column` is the document
};

/// One YAML file of datasets/: where rows come from and what they are. A new dataset is a new file and no code.
struct DatasetDefinition {
  std::string name;
  std::string summary;
  std::string language = "en";
  std::string domain;   ///< "literary", "technical", "encyclopedia" ...
  std::string licence;
  std::string remedy;   ///< what to do when the files are missing
  int version = 1;      ///< raised when rows or template change
  RowReader reader = RowReader::kText;
  std::string column = "text";
  std::string separator = "\n\n";  ///< put between documents when they are joined
  struct Split {
    std::vector<std::string> files;  ///< relative to a data folder; a name in .gz is unpacked
    double from = 0.0;               ///< share of the documents where the split begins, and ends
    double to = 1.0;
    void visit(FieldVisitor& v);
  };
  std::map<std::string, Split> splits;  ///< "train" calibrates, "test" is scored
  std::filesystem::path file;           ///< the definition's own
};

/// The documents of one split.
struct Corpus {
  std::string dataset;
  std::string split;
  std::vector<std::string> documents;
  std::string separator;
  Hash hash;  ///< of definition version and documents
  [[nodiscard]] std::string joined() const;
};

/// Finds definitions by name in folders, and their files in data folders.
class DatasetCatalog {
 public:
  /// Folders are searched in order; those that do not exist are passed over.
  DatasetCatalog(std::vector<std::filesystem::path> definition_folders, std::vector<std::filesystem::path> data_folders);

  /// Decodes and checks a definition. `name` is a dataset's name, or a path: a .yaml definition, or a plain text file,
  /// whose blank-line separated paragraphs then are the documents (first 80 % train, last 20 % test).
  /// Throws `kConfig`, with the nearest known name.
  [[nodiscard]] DatasetDefinition find(const std::string& name) const;
  [[nodiscard]] std::vector<DatasetDefinition> all() const;
  /// Throws `kData` when a file is missing (naming the folders searched and the remedy), when the split is unknown, empty
  /// or not valid UTF-8.
  [[nodiscard]] Corpus load(const DatasetDefinition& definition, const std::string& split) const;

 private:
  std::vector<std::filesystem::path> definition_folders_;
  std::vector<std::filesystem::path> data_folders_;
};

}  // namespace lowbit
