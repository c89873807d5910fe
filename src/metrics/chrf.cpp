#include <algorithm>
#include <map>
#include <numeric>

#include "metrics/translation.h"
#include "metrics/words.h"

namespace lowbit {
namespace {

/// The characters without white space, one behind the other, and where each begins.
struct Characters {
  std::string text;
  std::vector<std::size_t> begins;  // and the end
};

Characters without_spaces(std::string_view text) {
  Characters result;
  for (const std::string_view word : split_words(text)) result.text += word;
  for (const std::string_view character : characters_of(result.text)) {
    result.begins.push_back(static_cast<std::size_t>(character.data() - result.text.data()));
  }
  result.begins.push_back(result.text.size());
  return result;
}

using Runs = std::map<std::string_view, std::int64_t>;

Runs runs_of(const Characters& characters, std::size_t n) {
  Runs runs;
  for (std::size_t i = 0; i + n < characters.begins.size(); ++i) {
    const std::size_t begin = characters.begins[i];
    ++runs[std::string_view(characters.text).substr(begin, characters.begins[i + n] - begin)];
  }
  return runs;
}

std::int64_t sum_of(const Runs& runs) {
  return std::accumulate(runs.begin(), runs.end(), std::int64_t{0},
                         [](std::int64_t sum, const auto& run) { return sum + run.second; });
}

ChrfCounts counts_of(const Characters& own, const Characters& reference) {
  ChrfCounts counts;
  for (std::size_t n = 1; n <= ChrfCounts::kOrder; ++n) {
    const Runs own_runs = runs_of(own, n);
    const Runs right = runs_of(reference, n);
    counts.reference[n - 1] = sum_of(right);
    counts.own[n - 1] = right.empty() ? 0 : sum_of(own_runs);
    for (const auto& [run, count] : own_runs) {
      if (const auto found = right.find(run); found != right.end()) {
        counts.common[n - 1] += std::min(count, found->second);
      }
    }
  }
  return counts;
}

}  // namespace

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  for (std::size_t n = 0; n < kOrder; ++n) {
    own[n] += other.own[n];
    reference[n] += other.reference[n];
    common[n] += other.common[n];
  }
  return *this;
}

ChrfCounts& ChrfCounts::operator-=(const ChrfCounts& other) {
  for (std::size_t n = 0; n < kOrder; ++n) {
    own[n] -= other.own[n];
    reference[n] -= other.reference[n];
    common[n] -= other.common[n];
  }
  return *this;
}

ChrfCounts chrf_counts(std::string_view text, std::span<const std::string> references) {
  const Characters own = without_spaces(text);
  ChrfCounts best;
  double highest = -1;
  for (const std::string& reference : references) {
    const ChrfCounts counts = counts_of(own, without_spaces(reference));
    const double score = chrf(counts);
    if (score <= highest) continue;
    highest = score;
    best = counts;
  }
  return best;
}

double chrf(const ChrfCounts& counts) {
  constexpr double kBetaSquared = 4;
  double precision = 0;
  double recall = 0;
  double orders = 0;
  for (std::size_t n = 0; n < ChrfCounts::kOrder; ++n) {
    if (counts.own[n] == 0 || counts.reference[n] == 0) continue;
    precision += static_cast<double>(counts.common[n]) / static_cast<double>(counts.own[n]);
    recall += static_cast<double>(counts.common[n]) / static_cast<double>(counts.reference[n]);
    ++orders;
  }
  if (precision + recall == 0) return 0.0;
  precision /= orders;
  recall /= orders;
  return 100 * (1 + kBetaSquared) * precision * recall / (kBetaSquared * precision + recall);
}

}  // namespace lowbit
