#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/data/examples.h"

namespace lowbit {

/// A file of a dataset: what the definition calls it, where it lies, and what a '*' of its pattern stands for.
struct DataFile {
  std::string name;
  std::filesystem::path path;
  std::string group;
  bool hub_layout = false;  ///< its columns are those of the hub (`Task::hub_columns`)
};

/// One record of a file, an object by column.
struct Row {
  Json columns;
  std::string where;  ///< "piqa/piqa.jsonl:18"
  std::string group;
  std::int64_t number = 0;  ///< within the split, or within its group, from 0
  bool hub_layout = false;  ///< the file's
};

/// What a split holds: usable rows, and those that cannot be read.
struct Rows {
  std::vector<Row> rows;
  std::vector<ExampleProblem> problems;
};

/// Whether a reader gives rows with columns rather than plain documents.
[[nodiscard]] bool reads_rows(RowReader reader);

/// The rows of one file. `origin` is named in places. A file that is damaged as a whole (no JSON, an unclosed quote, a
/// header that repeats a name) throws `kData`.
[[nodiscard]] Rows read_rows(const DatasetDefinition& definition, std::string_view text, std::string_view origin);

}  // namespace lowbit
