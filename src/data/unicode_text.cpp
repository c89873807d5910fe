#include "data/unicode_text.h"

#include <utf8proc.h>

#include <algorithm>

#include "lowbit/base/utf8.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

/// Whether a byte of UTF-8 is a character's first.
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::string with_first(std::string_view text, utf8proc_int32_t (*mapped)(utf8proc_int32_t)) {
  if (text.empty()) return {};
  const CodePoint first = code_point_at(text, 0);
  std::string out;
  append_utf8(out, static_cast<char32_t>(mapped(static_cast<utf8proc_int32_t>(first.value))));
  return out.append(text.substr(first.size));
}

}  // namespace

std::string lower_case(std::string_view text) { return to_lower(text); }

std::string capitalized(std::string_view text) { return with_first(to_lower(text), utf8proc_totitle); }

std::string with_lower_first(std::string_view text) { return with_first(text, utf8proc_tolower); }

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), begins_character);
}

std::string_view first_characters(std::string_view text, std::size_t count) {
  const auto end = std::find_if(text.begin(), text.end(), [&](char c) { return begins_character(c) && count-- == 0; });
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

}  // namespace lowbit
