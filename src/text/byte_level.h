#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace lowbit {

/// GPT-2's alphabet, in which each byte is one printable character: 21..7E, A1..AC and AE..FF stand for themselves, the
/// other 68 bytes in ascending order for U+0100, U+0101, ... So a space is "Ġ" (U+0120) and a newline "Ċ" (U+010A).
char32_t byte_to_character(unsigned char byte);
std::optional<unsigned char> character_to_byte(char32_t character);

/// Appends the characters of `bytes`.
void append_byte_characters(std::string& out, std::string_view bytes);
/// The bytes of `characters`, or nothing when one of them is not in the alphabet. Well-formed UTF-8 is expected.
std::optional<std::string> bytes_of_characters(std::string_view characters);

/// How GPT-2 cuts a text into words.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace lowbit
