#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lowbit {

struct CodePoint {
  char32_t value;
  std::size_t size;  // bytes in UTF-8
};

/// The character that starts at `position` of well-formed UTF-8.
inline CodePoint code_point_at(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t offset) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[position + offset]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {((first & 0x1F) << 6) | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {((first & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F), 3};
  return {((first & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F), 4};
}

/// Where the character that ends at `position` (not 0) starts.
inline std::size_t previous_position(std::string_view text, std::size_t position) {
  do {
    --position;
  } while ((static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  return position;
}

/// The property White_Space.
bool is_white_space(char32_t code_point);
/// General category Nd, Nl or No.
bool is_numeric(char32_t code_point);
/// Alphabetic, a mark, a decimal digit, connector punctuation or a joiner (Unicode technical standard 18, annex C).
bool is_word_character(char32_t code_point);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// Of well-formed UTF-8, in time linear in the text but for the sorting of runs of marks.
std::string normalize_unicode(std::string_view text, NormalForm form);
/// Character by character, without regard to the neighbours (a final sigma stays "σ").
std::string to_lower(std::string_view text);

}  // namespace lowbit
