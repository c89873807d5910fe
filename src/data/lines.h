#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace lowbit {

inline constexpr std::string_view kBlanks = " \t\r\n\v\f";

inline bool is_blank(std::string_view text) { return text.find_first_not_of(kBlanks) == std::string_view::npos; }

inline std::string_view without_carriage_return(std::string_view line) {
  return !line.empty() && line.back() == '\r' ? line.substr(0, line.size() - 1) : line;
}

/// Calls `take(line, number)` for each line, without its line end, until it returns false. A line feed at the end of
/// the text begins no further line.
template <typename Take>
void for_each_line(std::string_view text, Take take) {
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (!take(text.substr(0, end), number)) return;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace lowbit
