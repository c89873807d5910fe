#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "metrics/translation.h"
#include "metrics/words.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

using Words = std::vector<std::string>;
constexpr std::size_t kOrder = 4;

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_stop(std::string_view c) { return c == "." || c == ","; }

/// Punctuation of ASCII that always stands alone: all but the apostrophe, comma, hyphen and period.
bool stands_alone(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
         (c >= ':' && c <= '@') || c == '/';
}

/// A blank on both sides of what `first` and `second` hold for, one behind the other; the rest as it is.
template <typename First, typename Second>
std::string separate(std::string_view text, First first, Second second, std::string_view before,
                     std::string_view between, std::string_view after) {
  const std::vector<std::string_view> characters = characters_of(text);
  std::string out;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (i + 1 < characters.size() && first(characters[i]) && second(characters[i + 1])) {
      out.append(before).append(characters[i]).append(between).append(characters[i + 1]).append(after);
      ++i;
    } else {
      out += characters[i];
    }
  }
  return out;
}

/// The rules of mteval-v13a behind its unescaping, in their order.
Words western_words(std::string_view text) {
  std::string spaced;
  for (const char c : text) {
    if (stands_alone(c)) {
      spaced.append(" ").append(1, c).append(" ");
    } else {
      spaced += c;
    }
  }
  const auto digit = [](std::string_view c) { return is_digit(c.front()); };
  const auto no_digit = [](std::string_view c) { return !is_digit(c.front()); };
  spaced = separate(spaced, no_digit, is_stop, "", " ", " ");
  spaced = separate(spaced, is_stop, no_digit, " ", " ", "");
  spaced = separate(
      spaced, digit, [](std::string_view c) { return c == "-"; }, "", " ", " ");
  Words words;
  for (const std::string_view word : split_words(spaced)) words.emplace_back(word);
  return words;
}

/// sacrebleu's ranges. It means one to be of the supplementary plane, which as it is written covers U+2001 to U+2A6D.
bool is_chinese(char32_t c) {
  constexpr char32_t kRanges[][2] = {
      {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9}, {0xFF00, 0xFFEF},
      {0x2E80, 0x2EFF}, {0x3000, 0x303F}, {0x31C0, 0x31EF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF}, {0x3100, 0x312F},
      {0x31A0, 0x31BF}, {0x2001, 0x2A6D}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0x2600, 0x27BF}, {0x3200, 0x33FF}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const auto& range) { return c >= range[0] && c <= range[1]; });
}

std::map<Words, std::int64_t> runs_of(const Words& words) {
  std::map<Words, std::int64_t> runs;
  for (std::size_t n = 1; n <= kOrder; ++n) {
    for (auto begin = words.begin(); words.end() - begin >= static_cast<std::ptrdiff_t>(n); ++begin) {
      ++runs[Words(begin, begin + static_cast<std::ptrdiff_t>(n))];
    }
  }
  return runs;
}

template <typename Change>
void change(BleuCounts& counts, const BleuCounts& other, Change by) {
  for (std::size_t n = 0; n < kOrder; ++n) {
    by(counts.common[n], other.common[n]);
    by(counts.total[n], other.total[n]);
  }
  by(counts.words, other.words);
  by(counts.reference_words, other.reference_words);
}

}  // namespace

std::vector<std::string> bleu_words(std::string_view text, BleuWords words) {
  if (words == BleuWords::kChinese) {
    std::string spaced;
    for (const std::string_view character : characters_of(text)) {
      const bool alone = is_chinese(code_point_at(character, 0).value);
      spaced.append(alone ? " " : "").append(character).append(alone ? " " : "");
    }
    return western_words(spaced);
  }
  std::string line(text);
  replace_all(line, "<skipped>", "");
  replace_all(line, "-\n", "");
  replace_all(line, "\n", " ");
  replace_all(line, "&quot;", "\"");
  replace_all(line, "&amp;", "&");
  replace_all(line, "&lt;", "<");
  replace_all(line, "&gt;", ">");
  return western_words(" " + line + " ");
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  change(*this, other, [](std::int64_t& a, std::int64_t b) { a += b; });
  return *this;
}

BleuCounts& BleuCounts::operator-=(const BleuCounts& other) {
  change(*this, other, [](std::int64_t& a, std::int64_t b) { a -= b; });
  return *this;
}

BleuCounts bleu_counts(std::string_view text, std::span<const std::string> references, BleuWords cut) {
  const Words own = bleu_words(text, cut);
  BleuCounts counts{.words = static_cast<std::int64_t>(own.size())};
  std::map<Words, std::int64_t> right;
  bool first = true;
  for (const std::string& reference : references) {
    const Words words = bleu_words(reference, cut);
    for (const auto& [run, count] : runs_of(words)) right[run] = std::max(right[run], count);
    const auto length = static_cast<std::int64_t>(words.size());
    const std::int64_t distance = std::abs(length - counts.words);
    const std::int64_t nearest = std::abs(counts.reference_words - counts.words);
    if (first || distance < nearest || (distance == nearest && length < counts.reference_words)) {
      counts.reference_words = length;
    }
    first = false;
  }
  for (const auto& [run, count] : runs_of(own)) {
    counts.total[run.size() - 1] += count;
    if (const auto found = right.find(run); found != right.end()) {
      counts.common[run.size() - 1] += std::min(count, found->second);
    }
  }
  return counts;
}

double bleu(const BleuCounts& counts) {
  const auto zero = [](std::int64_t count) { return count == 0; };
  if (std::all_of(counts.common.begin(), counts.common.end(), zero)) return 0.0;
  if (std::any_of(counts.total.begin(), counts.total.end(), zero)) return 0.0;
  double logarithms = 0;
  double smoothing = 1;
  for (std::size_t n = 0; n < kOrder; ++n) {
    const auto total = static_cast<double>(counts.total[n]);
    if (counts.common[n] == 0) smoothing *= 2;
    logarithms += std::log(counts.common[n] == 0 ? 100.0 / (smoothing * total)
                                                 : 100.0 * static_cast<double>(counts.common[n]) / total);
  }
  const double ratio = static_cast<double>(counts.reference_words) / static_cast<double>(counts.words);
  return std::exp(std::min(0.0, 1 - ratio) + logarithms / static_cast<double>(kOrder));
}

}  // namespace lowbit
