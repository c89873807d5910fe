#pragma once

#include <string_view>

namespace lowbit {

/// "▁" (U+2581), which stands for a space in sentencepiece's pieces.
inline constexpr std::string_view kSpacePiece = "\xE2\x96\x81";

/// Whether a "▁" follows some other character in `piece`. When no piece of a vocabulary has that, no merge can reach
/// across the start of a word, and a text may be coded word by word with the same result.
bool has_inner_space(std::string_view piece);

/// Calls `take(word)` for the parts of `text`, cut before each "▁", and each ' ' when `plain_too`, that
/// follows something else.
template <typename Take>
void for_each_word(std::string_view text, bool plain_too, const Take& take) {
  std::size_t begin = 0;
  bool last_was_space = true;
  for (std::size_t at = 0; at < text.size();) {
    const bool piece = text.substr(at, kSpacePiece.size()) == kSpacePiece;
    const bool space = piece || (plain_too && text[at] == ' ');
    if (space && !last_was_space) {
      take(text.substr(begin, at - begin));
      begin = at;
    }
    last_was_space = space;
    at += piece ? kSpacePiece.size() : 1;
  }
  if (begin < text.size()) take(text.substr(begin));
}

}  // namespace lowbit
