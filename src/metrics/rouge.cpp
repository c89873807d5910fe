#include "metrics/rouge.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "text/unicode.h"

namespace lowbit {
namespace {

using Words = std::vector<std::string>;

Words words_of(std::string_view text) {
  Words words;
  bool inside = false;
  for (const char c : to_lower(text)) {
    const bool counts = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (counts && !inside) words.emplace_back();
    if (counts) words.back() += c;
    inside = counts;
  }
  return words;
}

double f_measure(double common, double own, double right) {
  if (common == 0) return 0.0;
  const double precision = common / own;
  const double recall = common / right;
  return 2 * precision * recall / (precision + recall);
}

std::map<Words, std::size_t> runs_of(const Words& words, std::size_t n) {
  std::map<Words, std::size_t> runs;
  for (std::size_t i = 0; i + n <= words.size(); ++i) {
    ++runs[Words(words.begin() + static_cast<std::ptrdiff_t>(i), words.begin() + static_cast<std::ptrdiff_t>(i + n))];
  }
  return runs;
}

std::size_t longest_common_subsequence(const Words& a, const Words& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const std::string& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

double rouge_n(std::string_view text, std::string_view reference, std::size_t n) {
  const Words own = words_of(text);
  const Words right = words_of(reference);
  if (own.size() < n || right.size() < n) return 0.0;
  const std::map<Words, std::size_t> runs = runs_of(right, n);
  std::size_t common = 0;
  for (const auto& [run, count] : runs_of(own, n)) {
    if (const auto found = runs.find(run); found != runs.end()) common += std::min(count, found->second);
  }
  return f_measure(static_cast<double>(common), static_cast<double>(own.size() - n + 1),
                   static_cast<double>(right.size() - n + 1));
}

double rouge_l(std::string_view text, std::string_view reference) {
  const Words own = words_of(text);
  const Words right = words_of(reference);
  return f_measure(static_cast<double>(longest_common_subsequence(own, right)), static_cast<double>(own.size()),
                   static_cast<double>(right.size()));
}

}  // namespace lowbit
