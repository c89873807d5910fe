#include "data/rows.h"

#include <algorithm>
#include <set>

#include "data/conll.h"
#include "data/lines.h"
#include "data/table.h"
#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

/// False, with a problem, when the text of a row is not UTF-8.
bool is_text(std::string_view text, const std::string& where, Rows& out) {
  const std::optional<std::size_t> bad = find_invalid_utf8(text);
  if (bad) out.problems.push_back({where, fmt::format("not valid UTF-8 at byte {} of the row", *bad)});
  return !bad;
}

void read_json_lines(std::string_view text, std::string_view origin, Rows& out) {
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    if (is_blank(line)) return true;
    const std::string where = fmt::format("{}:{}", origin, number);
    if (!is_text(line, where, out)) return true;
    try {
      Json row = parse_json(line, "not JSON");
      if (row.is_object()) {
        out.rows.push_back({.columns = std::move(row), .where = where, .group = {}, .number = 0});
      } else {
        out.problems.push_back({where, fmt::format("expected a JSON object, found {}", row.type_name())});
      }
    } catch (const Error& error) {
      out.problems.push_back({where, error.what()});
    }
    return true;
  });
}

/// Walks down `keys`, whose values are lists (or one object), and hands the fields met on the way to the rows below.
class JsonRows {
 public:
  JsonRows(std::vector<std::string> keys, std::string_view origin, Rows& out)
      : keys_(std::move(keys)), origin_(origin), out_(out) {}

  void walk(const Json& value, std::size_t depth, const Json& inherited, const std::string& where) {
    if (value.is_array()) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        walk(value[i], depth, inherited, fmt::format("{}[{}]", where, i));
      }
      return;
    }
    if (!value.is_object()) {
      problem(where, fmt::format("expected a JSON object, found {}", value.type_name()));
      return;
    }
    Json columns = inherited;
    const bool is_row = depth == keys_.size();
    for (const auto& [name, field] : value.items()) {
      if (is_row || name != keys_[depth]) columns[name] = field;
    }
    if (is_row) {
      out_.rows.push_back({.columns = std::move(columns), .where = place(where), .group = {}, .number = 0});
      return;
    }
    const auto below = value.find(keys_[depth]);
    if (below == value.end()) {
      problem(where, fmt::format("has no '{}', where the definition says its rows are", keys_[depth]));
      return;
    }
    walk(*below, depth + 1, columns, where.empty() ? keys_[depth] : where + "." + keys_[depth]);
  }

 private:
  [[nodiscard]] std::string place(const std::string& where) const { return fmt::format("{}: {}", origin_, where); }
  void problem(const std::string& where, std::string message) {
    out_.problems.push_back({place(where), std::move(message)});
  }

  std::vector<std::string> keys_;
  std::string_view origin_;
  Rows& out_;
};

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> keys;
  while (!path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    keys.emplace_back(path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return keys;
}

void check_names(const std::vector<std::string>& names, std::string_view origin) {
  std::set<std::string_view> seen;
  for (const std::string& name : names) {
    if (find_invalid_utf8(name)) fail(ErrorCode::kData, "{}: the header is not valid UTF-8", origin);
    if (!seen.insert(name).second)
      fail(ErrorCode::kData, "{}: the column '{}' stands twice in the header", origin, name);
  }
}

/// A record with a field for each name; else a problem.
void add_record(std::vector<std::string> fields, const std::vector<std::string>& names, const std::string& where,
                Rows& out) {
  if (fields.size() != names.size()) {
    out.problems.push_back({where, fmt::format("{} fields, expected {}", fields.size(), names.size())});
    return;
  }
  Json columns = Json::object();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!is_text(fields[i], where, out)) return;
    columns[names[i]] = std::move(fields[i]);
  }
  out.rows.push_back({.columns = std::move(columns), .where = where, .group = {}, .number = 0});
}

void read_table_rows(const DatasetDefinition& definition, std::string_view text, std::string_view origin, Rows& out) {
  std::vector<TableRecord> records = read_table(text, definition.reader == RowReader::kTsv ? '\t' : ',', origin);
  std::vector<std::string> names = definition.header;
  if (names.empty() && !records.empty()) {
    names = records.front().fields;
    records.erase(records.begin());
    // Tables written with their row numbers leave that column's name empty.
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i].empty()) names[i] = fmt::format("column{}", i + 1);
    }
    check_names(names, origin);
  }
  for (TableRecord& record : records) {
    add_record(std::move(record.fields), names, fmt::format("{}:{}", origin, record.line), out);
  }
}

void read_blocks(const DatasetDefinition& definition, std::string_view text, std::string_view origin, Rows& out) {
  std::vector<std::string> lines;
  std::int64_t first = 1;
  const auto close = [&] {
    if (!lines.empty()) add_record(std::move(lines), definition.header, fmt::format("{}:{}", origin, first), out);
    lines.clear();
  };
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    if (lines.empty()) first = number;
    lines.emplace_back(without_carriage_return(line));
    if (lines.size() == definition.header.size()) close();
    return true;
  });
  close();
}

}  // namespace

bool reads_rows(RowReader reader) {
  switch (reader) {
    case RowReader::kJsonl:
    case RowReader::kJson:
    case RowReader::kCsv:
    case RowReader::kTsv:
    case RowReader::kBlocks:
    case RowReader::kConll:
    case RowReader::kGenerated: return true;
    default: return false;
  }
}

Rows read_rows(const DatasetDefinition& definition, std::string_view text, std::string_view origin) {
  Rows out;
  switch (definition.reader) {
    case RowReader::kJsonl: read_json_lines(text, origin, out); break;
    case RowReader::kJson:
      JsonRows(split_path(definition.rows), origin, out).walk(parse_json(text, origin), 0, Json::object(), "");
      break;
    case RowReader::kCsv:
    case RowReader::kTsv: read_table_rows(definition, text, origin, out); break;
    case RowReader::kBlocks: read_blocks(definition, text, origin, out); break;
    case RowReader::kConll: read_tagged_sentences(text, origin, out); break;
    default: LOWBIT_ASSERT(reads_rows(definition.reader));
  }
  return out;
}

}  // namespace lowbit
