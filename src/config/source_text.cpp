#include "config/source_text.h"

#include <algorithm>

namespace lowbit {

SourceText::SourceText(std::string_view text, std::string file, int first_column)
    : text_(text), file_(std::move(file)), first_column_(first_column), line_starts_{0} {
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') line_starts_.push_back(i + 1);
  }
}

std::size_t SourceText::position_of(std::size_t line, std::size_t byte_column) const {
  const std::size_t start = line_starts_[std::min(line, line_starts_.size() - 1)];
  return start + std::min(byte_column, text_.size() - start);
}

SourceMark SourceText::mark(std::size_t line, std::size_t byte_column) {
  line = std::min(line, line_starts_.size() - 1);
  const std::size_t position = position_of(line, byte_column);
  if (line != counted_line_ || position < counted_position_) {
    counted_line_ = line;
    counted_position_ = line_starts_[line];
    counted_characters_ = 0;
  }
  for (; counted_position_ < position; ++counted_position_) {
    const bool continues = (static_cast<unsigned char>(text_[counted_position_]) & 0xC0) == 0x80;
    if (!continues) ++counted_characters_;
  }
  return {file_, static_cast<int>(line) + 1, counted_characters_ + 1 + (line == 0 ? first_column_ : 0)};
}

SourceMark SourceText::mark_of_byte(std::size_t position) {
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), position);
  const auto line = static_cast<std::size_t>(next - line_starts_.begin()) - 1;
  return mark(line, position - line_starts_[line]);
}

std::string_view SourceText::from(std::size_t line, std::size_t byte_column) const {
  return text_.substr(position_of(line, byte_column));
}

}  // namespace lowbit
