#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/common_prefix.h"
#include "config/scalar_text.h"
#include "lowbit/base/error.h"
#include "lowbit/config/node.h"

namespace lowbit {

std::string SourceMark::text() const { return line > 0 ? fmt::format("{}:{}:{}", file, line, column) : file; }

void ConfigProblems::add(const SourceMark& mark, std::string message) {
  problems_.emplace_back(mark, std::move(message));
}

void ConfigProblems::throw_if_any() const {
  if (problems_.empty()) return;
  constexpr std::size_t kMaxShown = 100;
  std::vector<std::string> files;  // in the order of their first problem
  for (const auto& [mark, message] : problems_) {
    if (std::find(files.begin(), files.end(), mark.file) == files.end()) files.push_back(mark.file);
  }
  const auto rank = [&](const SourceMark& mark) {
    return std::tuple(std::find(files.begin(), files.end(), mark.file) - files.begin(), mark.line, mark.column);
  };
  auto sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto& a, const auto& b) { return rank(a.first) < rank(b.first); });
  std::set<std::string> seen;  // what each value of a sweep repeats is said once
  std::erase_if(sorted,
                [&](const auto& problem) { return !seen.insert(problem.first.text() + ": " + problem.second).second; });
  std::string text;
  for (std::size_t i = 0; i < std::min(sorted.size(), kMaxShown); ++i) {
    const std::string where = sorted[i].first.text();
    text += fmt::format("{}{}{}{}", i == 0 ? "" : "\n", where, where.empty() ? "" : ": ", sorted[i].second);
  }
  if (sorted.size() > kMaxShown) text += fmt::format("\nand {} more problems", sorted.size() - kMaxShown);
  throw Error(ErrorCode::kConfig, text);
}

namespace {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// Optimal string alignment: insert, remove, replace or swap neighbours, no part edited twice.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// One says the contrary of the other, as 'symmetric' of 'asymmetric': nobody means that by mistake.
bool are_contraries(std::string_view a, std::string_view b) {
  constexpr std::size_t kLeastRoot = 4;
  const auto [root, negated] = std::minmax(a, b, [](auto x, auto y) { return x.size() < y.size(); });
  if (root.size() < kLeastRoot || !negated.ends_with(root)) return false;
  const std::string_view prefix = negated.substr(0, negated.size() - root.size());
  return prefix == "a" || prefix == "un" || prefix == "non" || prefix == "non_" || prefix == "no_";
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = 0;
  std::size_t best_beginning = 0;  // decides between equal distances
  for (const std::string& candidate : candidates) {
    const std::size_t longer = std::max(word.size(), candidate.size());
    const std::size_t limit = std::max<std::size_t>(longer / 3, 1);
    if (longer - std::min(word.size(), candidate.size()) > limit) continue;
    if (are_contraries(lower_case(word), lower_case(candidate))) continue;
    const std::size_t distance = edit_distance(lower_case(word), lower_case(candidate));
    // A distance of the whole length means that nothing is shared.
    if (distance > limit || distance >= longer) continue;
    const std::size_t beginning = common_prefix(lower_case(word), lower_case(candidate));
    if (best && (distance > best_distance || (distance == best_distance && beginning <= best_beginning))) continue;
    best = candidate;
    best_distance = distance;
    best_beginning = beginning;
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  if (candidates.empty()) return "";
  if (const auto near = nearest_name(word, candidates)) return fmt::format("; did you mean {}?", shown(*near));
  constexpr std::size_t kMaxNamed = 12;
  std::string text = "; known: ";
  for (std::size_t i = 0; i < std::min(candidates.size(), kMaxNamed); ++i) {
    text += (i == 0 ? "" : ", ") + shown(candidates[i]);
  }
  if (candidates.size() > kMaxNamed) text += fmt::format(" and {} more", candidates.size() - kMaxNamed);
  return text;
}

}  // namespace lowbit
