#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// A record of a table and the line on which it begins.
struct TableRecord {
  std::vector<std::string> fields;
  std::int64_t line = 1;
};

/// Records of separated values, quoted with '"' as RFC 4180 says: a quoted field may hold separators, line ends and
/// doubled quotes; a quote within an unquoted field is a character. Blank lines are left out. Throws `kData` as
/// "<origin>:<line>: ..." for a quote that is never closed.
[[nodiscard]] std::vector<TableRecord> read_table(std::string_view text, char separator, std::string_view origin);

}  // namespace lowbit
