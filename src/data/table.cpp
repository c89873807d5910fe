#include "data/table.h"

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

class TableReader {
 public:
  TableReader(std::string_view text, char separator, std::string_view origin)
      : text_(text), separator_(separator), origin_(origin) {}

  std::vector<TableRecord> run() {
    std::vector<TableRecord> records;
    while (at_ < text_.size()) {
      TableRecord record{.fields = {}, .line = line_};
      do {
        record.fields.push_back(field());
      } while (skip(separator_));
      end_line();
      if (record.fields.size() > 1 || !record.fields.front().empty()) records.push_back(std::move(record));
    }
    return records;
  }

 private:
  [[nodiscard]] bool at_line_end() const {
    return at_ == text_.size() || text_[at_] == '\n' ||
           (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'));
  }
  bool skip(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void end_line() {
    skip('\r');
    if (skip('\n')) ++line_;
  }
  std::string field() {
    std::string value;
    if (skip('"')) value = quoted();
    // What follows a closing quote belongs to the field, as spreadsheet programs read it.
    while (!at_line_end() && text_[at_] != separator_) value += text_[at_++];
    return value;
  }
  std::string quoted() {
    const std::int64_t begun = line_;
    std::string value;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"' && !skip('"')) return value;
      if (c == '\n') ++line_;
      value += c;
    }
    fail(ErrorCode::kData, "{}:{}: a quote is opened and never closed", origin_, begun);
  }

  std::string_view text_;
  char separator_;
  std::string_view origin_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace

std::vector<TableRecord> read_table(std::string_view text, char separator, std::string_view origin) {
  return TableReader(text, separator, origin).run();
}

}  // namespace lowbit
