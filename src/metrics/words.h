#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// Runs of characters that are not white space, as Python's `str.split()` cuts them.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text);
/// Without the punctuation of ASCII.
[[nodiscard]] std::string without_punctuation(std::string_view text);
/// Well-formed UTF-8 cut into characters.
[[nodiscard]] std::vector<std::string_view> characters_of(std::string_view text);

}  // namespace lowbit
