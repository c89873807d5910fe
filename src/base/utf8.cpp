#include "lowbit/base/utf8.h"

#include <array>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

struct Sequence {
  std::size_t length;  // of the well-formed sequence, or of the maximal ill-formed subpart (at least 1)
  bool valid;
  char32_t code_point;
};

// Table 3-7 of the Unicode standard: the first byte fixes the length and the range of the second.
Sequence next_sequence(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t offset) { return static_cast<unsigned char>(text[position + offset]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {1, true, first};
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {1, false, 0};
  }
  static constexpr std::array<unsigned, 5> kFirstMask = {0, 0, 0x1F, 0x0F, 0x07};
  char32_t code_point = first & kFirstMask[length];
  for (std::size_t offset = 1; offset < length; ++offset) {
    if (position + offset >= text.size()) return {offset, false, 0};
    const unsigned next = byte(offset);
    if (next < low || next > high) return {offset, false, 0};
    code_point = (code_point << 6) | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {length, true, code_point};
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    const Sequence sequence = next_sequence(text, position);
    if (!sequence.valid) return position;
    position += sequence.length;
  }
  return std::nullopt;
}

std::vector<char32_t> decode_utf8(std::string_view text) {
  std::vector<char32_t> result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const Sequence sequence = next_sequence(text, position);
    if (!sequence.valid) fail(ErrorCode::kData, "invalid UTF-8 at byte {}", position);
    result.push_back(sequence.code_point);
    position += sequence.length;
  }
  return result;
}

void append_utf8(std::string& out, char32_t code_point) {
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) code_point = 0xFFFD;
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | (code_point >> 6));
    out += static_cast<char>(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | (code_point >> 12));
    out += static_cast<char>(0x80 | ((code_point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code_point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code_point >> 18));
    out += static_cast<char>(0x80 | ((code_point >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code_point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code_point & 0x3F));
  }
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const Sequence sequence = next_sequence(text, position);
    if (sequence.valid) {
      result.append(text.substr(position, sequence.length));
    } else {
      result += "\xEF\xBF\xBD";
    }
    position += sequence.length;
  }
  return result;
}

}  // namespace lowbit
