#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// A mistake in a template, at a byte of it.
struct TemplateMistake {
  std::size_t position;
  std::string message;
};

/// A word, text or sign between the braces of a template.
struct TemplateToken {
  enum class Kind { kName, kText, kNumber, kSign, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  ///< a name without its backticks, a text without its quotes and escapes, or a sign such as "=="
  std::size_t position = 0;
};

/// The tokens of `text`, whose first byte stands at `offset` of the template, and an end token. Throws
/// `TemplateMistake`.
[[nodiscard]] std::vector<TemplateToken> lex_template(std::string_view text, std::size_t offset);

/// The length of what stands before the closing brace at the start of `text`; braces in quotes do not count.
/// npos: there is none.
[[nodiscard]] std::size_t closing_brace(std::string_view text);

}  // namespace lowbit
