#include "text/byte_level.h"

#include "lowbit/base/utf8.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The highest character is U+0143, for byte AD.
constexpr std::size_t kAlphabetEnd = 0x144;

struct Alphabet {
  std::array<char32_t, 256> characters{};
  std::array<std::int16_t, kAlphabetEnd> bytes{};
  std::array<std::string, 256> utf8;

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      characters[byte] = stands_for_itself(byte) ? byte : next++;
      bytes[characters[byte]] = static_cast<std::int16_t>(byte);
      append_utf8(utf8[byte], characters[byte]);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

char32_t byte_to_character(unsigned char byte) { return alphabet().characters[byte]; }

std::optional<unsigned char> character_to_byte(char32_t character) {
  if (character >= kAlphabetEnd || alphabet().bytes[character] < 0) return std::nullopt;
  return static_cast<unsigned char>(alphabet().bytes[character]);
}

void append_byte_characters(std::string& out, std::string_view bytes) {
  const auto& utf8 = alphabet().utf8;
  for (const char byte : bytes) out += utf8[static_cast<unsigned char>(byte)];
}

std::optional<std::string> bytes_of_characters(std::string_view characters) {
  std::string bytes;
  bytes.reserve(characters.size());
  for (std::size_t position = 0; position < characters.size();) {
    const CodePoint next = code_point_at(characters, position);
    const auto byte = character_to_byte(next.value);
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
    position += next.size;
  }
  return bytes;
}

}  // namespace lowbit
