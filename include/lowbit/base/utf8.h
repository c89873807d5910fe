#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Byte position of the first ill-formed sequence (overlong, surrogate, above U+10FFFF, truncated), if there is one.
[[nodiscard]] std::optional<std::size_t> find_invalid_utf8(std::string_view text);
/// Code points of well-formed text. Throws `kData` naming the byte position otherwise.
[[nodiscard]] std::vector<char32_t> decode_utf8(std::string_view text);
/// A surrogate or a value above U+10FFFF, which UTF-8 cannot hold, is written as U+FFFD.
void append_utf8(std::string& out, char32_t code_point);
/// Ill-formed sequences become U+FFFD, one for each maximal subpart (Unicode 15, section 3.9), as Python and Rust do.
[[nodiscard]] std::string replace_invalid_utf8(std::string_view text);

}  // namespace lowbit
