#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowbit {

/// Undoes the tokenization of a WikiText page (" @-@ ", " , ", "( a )" ...), as the task `wikitext` of EleutherAI's
/// harness does before it scores a page.
[[nodiscard]] std::string detokenize_wikitext(std::string_view page);

/// Pieces between runs of white space (Python's notion of it), counting the empty one before leading and after trailing
/// white space: what that task divides by.
[[nodiscard]] std::int64_t count_words(std::string_view text);

}  // namespace lowbit
