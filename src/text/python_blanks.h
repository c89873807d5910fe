#pragma once

#include <string_view>

#include "text/unicode.h"

// White space as Python's texts know it, for well-formed UTF-8.
namespace lowbit {

/// `str.isspace`.
inline bool is_python_space(char32_t character) {
  return is_white_space(character) || (character >= 0x1C && character <= 0x1F);
}

/// Without white space at the start, or the end.
inline std::string_view trim_start(std::string_view text) {
  while (!text.empty()) {
    const CodePoint first = code_point_at(text, 0);
    if (!is_python_space(first.value)) break;
    text.remove_prefix(first.size);
  }
  return text;
}

inline std::string_view trim_end(std::string_view text) {
  while (!text.empty()) {
    const std::size_t last = previous_position(text, text.size());
    if (!is_python_space(code_point_at(text, last).value)) break;
    text = text.substr(0, last);
  }
  return text;
}

}  // namespace lowbit
