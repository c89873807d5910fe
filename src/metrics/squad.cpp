#include "metrics/squad.h"

#include <map>
#include <vector>

#include "metrics/words.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

bool is_article(std::string_view word) { return word == "a" || word == "an" || word == "the"; }

/// What stands between two ends of words in the sense of a regular expression's \b, articles blanked out.
std::string without_articles(std::string_view text) {
  std::string out;
  std::size_t begin = 0;  // of the run of word characters that reaches to `position`
  std::size_t position = 0;
  const auto end_word = [&] {
    const std::string_view word = text.substr(begin, position - begin);
    out += is_article(word) ? std::string_view(" ") : word;
  };
  while (position < text.size()) {
    const CodePoint character = code_point_at(text, position);
    if (!is_word_character(character.value) && !is_numeric(character.value)) {
      end_word();
      out += text.substr(position, character.size);
      begin = position + character.size;
    }
    position += character.size;
  }
  end_word();
  return out;
}

std::map<std::string_view, int> bag_of(const std::vector<std::string_view>& words) {
  std::map<std::string_view, int> bag;
  for (const std::string_view word : words) ++bag[word];
  return bag;
}

}  // namespace

std::string squad_normal(std::string_view text) {
  std::string normal;
  const std::string plain = without_articles(without_punctuation(to_lower(text)));
  for (const std::string_view word : split_words(plain)) normal.append(normal.empty() ? "" : " ").append(word);
  return normal;
}

double squad_exact_match(std::string_view answer, std::string_view reference) {
  return squad_normal(answer) == squad_normal(reference) ? 1.0 : 0.0;
}

double squad_f1(std::string_view answer, std::string_view reference) {
  const std::string own = squad_normal(answer);
  const std::string right = squad_normal(reference);
  const std::vector<std::string_view> own_words = split_words(own);
  const std::vector<std::string_view> right_words = split_words(right);
  if (own_words.empty() || right_words.empty()) return own_words.empty() && right_words.empty() ? 1.0 : 0.0;
  std::map<std::string_view, int> left = bag_of(right_words);
  double common = 0;
  for (const std::string_view word : own_words) {
    if (left[word]-- > 0) ++common;
  }
  if (common == 0) return 0.0;
  const double precision = common / static_cast<double>(own_words.size());
  const double recall = common / static_cast<double>(right_words.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace lowbit
