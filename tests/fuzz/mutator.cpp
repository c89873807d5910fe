#include "fuzz/mutator.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace lowbit::fuzzing {
namespace {

constexpr std::array<std::string_view, 14> kNumbers = {
    "0",  "-1",  "1e999",      "1.5",        "255",        "4294967295",           "9223372036854775807",
    "-0", "1e9", "2147483648", "1234567890", "0.00000001", "18446744073709551616", "-9223372036854775809"};

// Overlong, truncated, a surrogate, beyond Unicode, a lone continuation; then what is well formed and rare: a null, a
// byte order mark, a combining mark, a character of four bytes.
constexpr std::array<std::string_view, 9> kCharacters = {"\xC0\xAF",         "\xE2\x82", "\xED\xA0\x80",
                                                         "\xF4\x90\x80\x80", "\x80",     std::string_view("\0", 1),
                                                         "\xEF\xBB\xBF",     "\xCC\x81", "\xF0\x9F\x98\x80"};

constexpr std::array<std::string_view, 6> kOpeners = {"[", "{\"a\":", "[[", "{", "- ", "("};

}  // namespace

std::string Mutator::make(std::uint64_t number) {
  random_.seed(number);
  std::string text = seeds_[below(seeds_.size())];
  for (std::size_t left = 1 + below(6); left > 0; --left) mutate(text);
  if (text.size() > kMaxBytes) text.resize(kMaxBytes);
  return text;
}

void Mutator::mutate(std::string& text) {
  switch (below(10)) {
    case 0:
    case 1: return change_byte(text);
    case 2: return write_integer(text);
    case 3: return replace_number(text);
    case 4: return insert_word(text);
    case 5: return nest(text);
    case 6: return repeat_range(text);
    case 7: return splice(text);
    case 8: text.resize(below(text.size() + 1)); return;
    default: {
      const std::size_t begin = below(text.size());
      text.erase(begin, below(1 + (below(4) == 0 ? text.size() : 16)));
    }
  }
}

void Mutator::change_byte(std::string& text) {
  if (text.empty()) return;
  char& byte = text[below(text.size())];
  byte = below(2) == 0 ? static_cast<char>(random_()) : static_cast<char>(byte ^ (1 << below(8)));
}

// Little-endian, at any position: lengths, counts and offsets of binary formats.
void Mutator::write_integer(std::string& text) {
  const std::size_t width = std::size_t{1} << below(4);
  if (text.size() < width) return;
  const std::array<std::uint64_t, 10> values = {0,
                                                1,
                                                ~std::uint64_t{0},
                                                std::uint64_t{1} << 31,
                                                std::uint64_t{1} << 62,
                                                std::uint64_t{1} << 63,
                                                text.size(),
                                                text.size() - 1,
                                                below(text.size()),
                                                std::uint64_t{1} << below(64)};
  std::uint64_t value = values[below(values.size())];
  const std::size_t at = below(text.size() - width + 1);
  for (std::size_t i = 0; i < width; ++i, value >>= 8) text[at + i] = static_cast<char>(value);
}

void Mutator::replace_number(std::string& text) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const auto start = text.begin() + static_cast<std::ptrdiff_t>(below(text.size()));
  const auto first = std::find_if(start, text.end(), digit);
  const auto last = std::find_if_not(first, text.end(), digit);
  if (first != text.end()) text.replace(first, last, kNumbers[below(kNumbers.size())]);
}

void Mutator::insert_word(std::string& text) {
  const std::size_t at = below(text.size() + 1);
  if (words_.empty() || below(3) == 0) {
    text.insert(at, kCharacters[below(kCharacters.size())]);
  } else {
    text.insert(at, words_[below(words_.size())]);
  }
}

void Mutator::nest(std::string& text) {
  const std::string_view opener = kOpeners[below(kOpeners.size())];
  std::string run;
  for (std::size_t depth = std::size_t{1} << below(12); depth > 0; --depth) run += opener;
  text.insert(below(text.size() + 1), run);
}

void Mutator::repeat_range(std::string& text) {
  const std::size_t begin = below(text.size());
  const std::string part = text.substr(begin, 1 + below(below(3) == 0 ? 512 : 24));
  std::size_t times = std::size_t{1} << below(8);
  for (; times > 0 && text.size() < kMaxBytes; --times) text.insert(begin, part);
}

void Mutator::splice(std::string& text) {
  const std::string& other = seeds_[below(seeds_.size())];
  const std::size_t begin = below(other.size());
  const std::string part = other.substr(begin, 1 + below(other.size()));
  const std::size_t at = below(text.size() + 1);
  text.replace(at, below(2) == 0 ? 0 : part.size(), part);
}

}  // namespace lowbit::fuzzing
