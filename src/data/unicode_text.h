#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/python_blanks.h"

namespace lowbit {

// What the field's Python code does to well-formed UTF-8, character for character.

/// `str.lower`, but for a final sigma.
[[nodiscard]] std::string lower_case(std::string_view text);
/// `str.capitalize`: the first character in title case, all others in lower case.
[[nodiscard]] std::string capitalized(std::string_view text);
[[nodiscard]] std::string with_lower_first(std::string_view text);
[[nodiscard]] std::int64_t count_characters(std::string_view text);
/// `text[:count]`.
[[nodiscard]] std::string_view first_characters(std::string_view text, std::size_t count);

}  // namespace lowbit
