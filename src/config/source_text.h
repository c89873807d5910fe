#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lowbit/config/node.h"

namespace lowbit {

/// The text of a file as its marks see it: lines end with '\n', columns count characters.
class SourceText {
 public:
  /// `first_column` is added to the columns of line 1, for a text that is the tail of a longer one. The text is
  /// borrowed.
  SourceText(std::string_view text, std::string file, int first_column);

  /// `line` and `byte_column` count from 0 (and are cut to what exists).
  [[nodiscard]] SourceMark mark(std::size_t line, std::size_t byte_column);
  [[nodiscard]] SourceMark mark_of_byte(std::size_t position);
  /// The text from that place on.
  [[nodiscard]] std::string_view from(std::size_t line, std::size_t byte_column) const;

 private:
  [[nodiscard]] std::size_t position_of(std::size_t line, std::size_t byte_column) const;
  std::string_view text_;
  std::string file_;
  int first_column_;
  std::vector<std::size_t> line_starts_;
  // The last place that was counted: marks come in the order of the text, so a long line is counted once.
  std::size_t counted_line_ = 0;
  std::size_t counted_position_ = 0;
  int counted_characters_ = 0;
};

}  // namespace lowbit
