#include "evaluation/wikitext.h"

#include <array>
#include <utility>

#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

/// What `\s` matches in a Python pattern.
bool is_space(char32_t c) {
  if ((c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || (c >= 0x2000 && c <= 0x200A)) return true;
  switch (c) {
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000: return true;
    default: return false;
  }
}

using Replacement = std::pair<std::string_view, std::string_view>;

// In the order in which the harness applies them.
constexpr std::array<Replacement, 10> kBeforeBrackets = {{{"s '", "s'"},
                                                          {" @-@ ", "-"},
                                                          {" @,@ ", ","},
                                                          {" @.@ ", "."},
                                                          {" : ", ": "},
                                                          {" ; ", "; "},
                                                          {" . ", ". "},
                                                          {" ! ", "! "},
                                                          {" ? ", "? "},
                                                          {" , ", ", "}}};
constexpr std::array<std::pair<char32_t, char32_t>, 5> kBrackets = {
    {{U'(', U')'}, {U'[', U']'}, {U'{', U'}'}, {U'"', U'"'}, {U'\'', U'\''}}};
constexpr std::array<Replacement, 8> kAfterBrackets = {{{"= = = =", "===="},
                                                        {"= = =", "==="},
                                                        {"= =", "=="},
                                                        {" \u00B0 ", "\u00B0"},
                                                        {" \n", "\n"},
                                                        {"\n ", "\n"},
                                                        {" N ", " 1 "},
                                                        {" 's", "'s"}}};

void replace_all(std::string& text, const Replacement& replacement) {
  std::string result;
  std::size_t begin = 0;
  for (std::size_t at = 0; (at = text.find(replacement.first, begin)) != std::string::npos;) {
    result.append(text, begin, at - begin).append(replacement.second);
    begin = at + replacement.first.size();
  }
  text = result.append(text, begin);
}

/// Takes the white space away on the inner sides of each pair; the content ends at the first closing character.
std::u32string tighten(const std::u32string& text, char32_t open, char32_t close) {
  std::u32string result;
  std::size_t begin = 0;
  while (true) {
    const std::size_t first = text.find(open, begin);
    const std::size_t last = first == std::u32string::npos ? first : text.find(close, first + 1);
    if (last == std::u32string::npos) return result.append(text, begin);
    std::size_t from = first + 1;
    std::size_t to = last;
    while (from < to && is_space(text[from])) ++from;
    while (to > from && is_space(text[to - 1])) --to;
    result.append(text, begin, first + 1 - begin).append(text, from, to - from).push_back(close);
    begin = last + 1;
  }
}

}  // namespace

std::string detokenize_wikitext(std::string_view page) {
  std::string text(page);
  for (const Replacement& replacement : kBeforeBrackets) replace_all(text, replacement);
  const std::vector<char32_t> points = decode_utf8(text);
  std::u32string wide(points.begin(), points.end());
  for (const auto& [open, close] : kBrackets) wide = tighten(wide, open, close);
  text.clear();
  for (const char32_t c : wide) append_utf8(text, c);
  for (const Replacement& replacement : kAfterBrackets) replace_all(text, replacement);
  return text;
}

std::int64_t count_words(std::string_view text) {
  std::int64_t words = 1;
  bool in_space = false;
  for (const char32_t c : decode_utf8(text)) {
    const bool space = is_space(c);
    if (space && !in_space) ++words;
    in_space = space;
  }
  return words;
}

}  // namespace lowbit
