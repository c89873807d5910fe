#pragma once

#include <cstddef>
#include <string_view>

namespace lowbit {

/// F-measures of ROUGE (Lin 2004) over runs of a-z and 0-9 in lower case, without stemming. Text in other scripts has
/// no such words and scores 0.
[[nodiscard]] double rouge_n(std::string_view text, std::string_view reference, std::size_t n);
/// Of the longest common subsequence of words.
[[nodiscard]] double rouge_l(std::string_view text, std::string_view reference);

}  // namespace lowbit
