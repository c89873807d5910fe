#include "config/scalar_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool all_digits_of_base(std::string_view text, int base) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [base](char c) {
    if (base == 16 && lower(c) >= 'a' && lower(c) <= 'f') return true;
    return is_digit(c) && c - '0' < base;
  });
}

// A sign belongs to decimal numbers only; 0 is "no integer".
int base_of(std::string_view text) {
  if (text.starts_with("0x")) return all_digits_of_base(text.substr(2), 16) ? 16 : 0;
  if (text.starts_with("0o")) return all_digits_of_base(text.substr(2), 8) ? 8 : 0;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return all_digits_of_base(text, 10) ? 10 : 0;
}

std::size_t skip_digits(std::string_view text, std::size_t position) {
  while (position < text.size() && is_digit(text[position])) ++position;
  return position;
}

}  // namespace

bool is_null_text(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

std::optional<bool> read_boolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::optional<bool> read_legacy_boolean(std::string_view text) {
  if (text.empty() || text.size() > 3) return std::nullopt;
  std::string word(text);
  std::transform(word.begin(), word.end(), word.begin(), lower);
  if (word == "yes" || word == "y" || word == "on") return true;
  if (word == "no" || word == "n" || word == "off") return false;
  return std::nullopt;
}

bool is_integer_text(std::string_view text) { return base_of(text) != 0; }

bool is_real_text(std::string_view text) {
  if (is_integer_text(text)) return true;
  std::size_t position = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const std::size_t whole = skip_digits(text, position) - position;
  position += whole;
  if (position < text.size() && text[position] == '.') {
    const std::size_t end = skip_digits(text, position + 1);
    if (whole == 0 && end == position + 1) return false;
    position = end;
  } else if (whole == 0) {
    return false;
  }
  if (position < text.size() && lower(text[position]) == 'e') {
    ++position;
    if (position < text.size() && (text[position] == '-' || text[position] == '+')) ++position;
    const std::size_t end = skip_digits(text, position);
    if (end == position) return false;
    position = end;
  }
  return position == text.size();
}

bool is_not_finite_text(std::string_view text) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text == ".inf" || text == ".Inf" || text == ".INF";
}

bool is_typed_text(std::string_view text) {
  return read_boolean(text).has_value() || is_real_text(text) || is_not_finite_text(text);
}

std::optional<std::int64_t> read_integer(std::string_view text) {
  const int base = base_of(text);
  if (base == 0) return std::nullopt;
  if (base != 10) text.remove_prefix(2);
  if (text.front() == '+') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> read_real(std::string_view text) {
  if (!is_real_text(text)) return std::nullopt;
  if (const int base = base_of(text); base == 16 || base == 8) {
    const std::optional<std::int64_t> whole = read_integer(text);
    return whole ? std::optional<double>(static_cast<double>(*whole)) : std::nullopt;
  }
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0.0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string shown(std::string_view text) {
  constexpr int kMaxCharacters = 60;
  // Four bytes a character at most, so that a huge text is not copied to show its beginning.
  const std::string start = replace_invalid_utf8(text.substr(0, 4 * kMaxCharacters + 4));
  std::string out = "'";
  int count = 0;
  for (const char32_t c : decode_utf8(start)) {
    if (++count > kMaxCharacters) return out + "...'";
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || (c >= 0x7F && c < 0xA0)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      append_utf8(out, c);
    }
  }
  return out + "'";
}

}  // namespace lowbit
