#include "data/readers.h"

#include <algorithm>

#include "base/trimmed.h"
#include "data/lines.h"
#include "data/rows.h"
#include "data/unpack.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

class Documents {
 public:
  explicit Documents(std::int64_t most) : most_(most) {}
  [[nodiscard]] bool full() const { return most_ > 0 && static_cast<std::int64_t>(list_.size()) >= most_; }
  /// False when no more are wanted.
  bool add(std::string_view document) {
    if (!full()) list_.emplace_back(document);
    return !full();
  }
  [[nodiscard]] std::vector<std::string> take() { return std::move(list_); }

 private:
  std::int64_t most_;
  std::vector<std::string> list_;
};

void read_paragraphs(std::string_view text, Documents& out) {
  const char* begin = nullptr;  // of the paragraph that is open
  const char* end = nullptr;
  for_each_line(text, [&](std::string_view line, std::int64_t) {
    const std::string_view content = without_carriage_return(line);
    if (!is_blank(content)) {
      if (begin == nullptr) begin = content.data();
      end = content.data() + content.size();
      return true;
    }
    if (begin == nullptr) return true;
    const bool more = out.add({begin, static_cast<std::size_t>(end - begin)});
    begin = nullptr;
    return more;
  });
  if (begin != nullptr) out.add({begin, static_cast<std::size_t>(end - begin)});
}

const std::string& document_of(const Json& row, const std::string& column, const std::string& where) {
  const auto value = row.find(column);
  if (value == row.end()) fail(ErrorCode::kData, "{}: the row has no column '{}'", where, column);
  if (!value->is_string()) {
    fail(ErrorCode::kData, "{}: column '{}' is {}, expected a string", where, column, value->type_name());
  }
  return value->get_ref<const std::string&>();
}

void read_jsonl(std::string_view text, std::string_view origin, const std::string& column, Documents& out) {
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    const std::string where = fmt::format("{}:{}", origin, number);
    const Json row = parse_json(line, where);
    if (!row.is_object()) fail(ErrorCode::kData, "{}: expected a JSON object, found {}", where, row.type_name());
    return out.add(document_of(row, column, where));
  });
}

void read_column(const DatasetDefinition& definition, std::string_view text, std::string_view origin, Documents& out) {
  const Rows rows = read_rows(definition, text, origin);
  if (!rows.problems.empty()) {
    fail(ErrorCode::kData, "{}: {}", rows.problems.front().where, rows.problems.front().message);
  }
  for (const Row& row : rows.rows) {
    if (!out.add(document_of(row.columns, definition.column, row.where))) return;
  }
}

void read_delimited(std::string_view text, std::string_view delimiter, Documents& out) {
  while (!out.full()) {
    const std::size_t end = text.find(delimiter);
    const std::string_view document = trimmed(text.substr(0, end), kBlanks);
    if (!document.empty()) out.add(document);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + delimiter.size());
  }
}

/// " = Title = ", but not " = = Section = = ", whose inner signs count as one.
bool begins_page(std::string_view line) {
  const std::string_view title = trimmed(line, kBlanks);
  return title.size() >= 3 && title.starts_with("= ") && title.ends_with(" =") && !title.starts_with("= =") &&
         !title.ends_with("= =");
}

void read_pages(std::string_view text, Documents& out) {
  std::size_t begin = 0;
  std::size_t at = 0;
  bool more = true;
  for_each_line(text, [&](std::string_view line, std::int64_t) {
    if (begins_page(line) && at > begin) {
      const std::string_view page = text.substr(begin, at - 1 - begin);  // without the line feed before the title
      if (!is_blank(page)) more = out.add(page);
      begin = at;
    }
    at += line.size() + 1;
    return more;
  });
  if (more && !is_blank(text.substr(begin))) out.add(text.substr(begin));
}

/// Up to and with line feed number `lines`, if there are so many.
void keep_lines(std::string& text, std::int64_t lines) {
  std::size_t end = 0;
  for (std::int64_t i = 0; i < lines; ++i) {
    const std::size_t found = text.find('\n', end);
    if (found == std::string::npos) return;
    end = found + 1;
  }
  text.resize(end);
}

}  // namespace

std::string read_bytes(const std::filesystem::path& path, std::int64_t lines, std::uint64_t limit) {
  const std::string origin = path.string();
  std::string text;
  if (const std::string extension = path.extension().string(); is_packed(extension)) {
    text = unpack(extension, MappedFile::open(path)->text(), origin, limit, lines);
  } else {
    text = read_file(path, limit);
  }
  if (lines > 0) keep_lines(text, lines);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

std::string read_text(const std::filesystem::path& path, std::int64_t lines, std::uint64_t limit) {
  std::string text = read_bytes(path, lines, limit);
  if (const std::optional<std::size_t> bad = find_invalid_utf8(text)) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(*bad), '\n');
    fail(ErrorCode::kData, "{}:{}: not valid UTF-8 at byte {}; convert the file to UTF-8", path.string(), line, *bad);
  }
  return text;
}

bool reads_by_line(RowReader reader) {
  return reader == RowReader::kLines || reader == RowReader::kJsonl || reader == RowReader::kWikitextRows;
}

std::vector<std::string> read_documents(const DatasetDefinition& definition, std::string_view text,
                                        std::string_view origin, std::int64_t most) {
  Documents out(most);
  switch (definition.reader) {
    case RowReader::kText: out.add(text); break;
    case RowReader::kParagraphs: read_paragraphs(text, out); break;
    case RowReader::kLines:
      for_each_line(text, [&](std::string_view line, std::int64_t) { return out.add(without_carriage_return(line)); });
      break;
    case RowReader::kJsonl: read_jsonl(text, origin, definition.column, out); break;
    case RowReader::kDelimited: read_delimited(text, definition.delimiter, out); break;
    case RowReader::kWikitextRows:
      for_each_line(text, [&](std::string_view line, std::int64_t) {
        return out.add(is_blank(line) ? std::string() : std::string(line) + "\n");
      });
      break;
    case RowReader::kWikitextPages: read_pages(text, out); break;
    case RowReader::kJson:
    case RowReader::kCsv:
    case RowReader::kTsv:
    case RowReader::kBlocks:
    case RowReader::kConll:
    case RowReader::kGenerated: read_column(definition, text, origin, out); break;
  }
  return out.take();
}

}  // namespace lowbit
