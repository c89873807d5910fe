#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

bool is_wide(char32_t c) {
  return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) || c >= 0x1F300;
}

std::vector<std::size_t> column_widths(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size() && column < widths.size(); ++column) {
      widths[column] = std::max(widths[column], display_width(row[column]));
    }
  }
  return widths;
}

std::string padded(const std::string& text, std::size_t width, bool left) {
  const std::string blanks(width - std::min(width, display_width(text)), ' ');
  return left ? text + blanks : blanks + text;
}

// A cell's text must not end the cell or begin markup of its own.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '`' || c == '*' || c == '_' || c == '[' || c == '\\') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

}  // namespace

std::size_t display_width(const std::string& text) {
  std::size_t width = 0;
  for (const char32_t c : decode_utf8(replace_invalid_utf8(text))) width += is_wide(c) ? 2 : 1;
  return width;
}

std::string Table::plain() const {
  const std::vector<std::size_t> widths = column_widths(rows_);
  std::string out;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    std::string line;
    std::size_t total = 0;
    for (std::size_t column = 0; column < widths.size(); ++column) {
      line += (column == 0 ? "" : "  ") +
              padded(column < rows_[row].size() ? rows_[row][column] : "", widths[column], column == 0);
      total += widths[column] + (column == 0 ? 0 : 2);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (row == 0) out += std::string(total, '-') + "\n";
  }
  return out;
}

std::string Table::markdown() const {
  std::string out;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    out += "|";
    for (std::size_t column = 0; column < rows_.front().size(); ++column) {
      out += fmt::format(" {} |", escaped(column < rows_[row].size() ? rows_[row][column] : ""));
    }
    out += "\n";
    if (row != 0) continue;
    out += "|";
    for (std::size_t column = 0; column < rows_.front().size(); ++column) out += column == 0 ? " --- |" : " ---: |";
    out += "\n";
  }
  return out;
}

}  // namespace lowbit
