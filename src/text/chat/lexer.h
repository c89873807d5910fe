#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit::chat {

/// A mistake in a template, or of what it does, at a byte of it.
struct Mistake {
  std::size_t position;
  std::string message;
};

struct Token {
  enum class Kind { kText, kTagBegin, kTagEnd, kOutputBegin, kOutputEnd, kName, kString, kInteger, kReal, kSign, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  ///< what is written; of a string what it means
  std::size_t position = 0;
};

/// A template's tokens and an end, blanks around tags taken away as Jinja does with `trim_blocks` and `lstrip_blocks`,
/// which is how transformers renders chat templates. Comments leave nothing. Throws `Mistake`.
[[nodiscard]] std::vector<Token> lex(std::string_view source);

}  // namespace lowbit::chat
