#include "lowbit/calibration/doctor.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <unordered_set>

#include "calibration/text_census.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::size_t kRun = 32;    // tokens of a run that counts as repeated
constexpr double kAmpleTokens = 8;  // for each input of a linear
constexpr double kMuch = 0.05;      // a share that is worth a remark

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::vector<CalibrationHealth::Lengths> histogram(const CalibrationSet& set) {
  std::map<std::int64_t, std::int64_t> counts;  // by the highest power of two not above the length
  for (const auto& ids : set.sequences) ++counts[static_cast<std::int64_t>(std::bit_floor(ids.size()))];
  std::vector<CalibrationHealth::Lengths> lengths;
  for (const auto& [low, count] : counts) lengths.push_back({low, 2 * low - 1, count});
  return lengths;
}

void find_repetitions(const CalibrationSet& set, CalibrationHealth& health) {
  std::set<std::vector<TokenId>> seen;
  std::unordered_set<std::uint64_t> runs;
  std::int64_t repeated = 0;
  for (const auto& ids : set.sequences) {
    if (!seen.insert(ids).second) ++health.duplicates;
    std::vector<std::uint64_t> own;
    std::size_t covered = 0;  // tokens before it are counted
    for (std::size_t begin = 0; begin + kRun <= ids.size(); ++begin) {
      own.push_back(Hasher().add_bytes(ids.data() + begin, kRun * sizeof(TokenId)).finish().low);
      if (!runs.contains(own.back())) continue;
      repeated += static_cast<std::int64_t>(begin + kRun - std::max(begin, covered));
      covered = begin + kRun;
    }
    runs.insert(own.begin(), own.end());
  }
  health.repeated = share(repeated, health.tokens);
}

void find_truncation(const CalibrationSet& set, CalibrationHealth& health) {
  std::int64_t lost = 0;
  for (const CalibrationSet::Part& part : set.parts) {
    health.truncated += part.truncated;
    lost += part.truncated_tokens;
  }
  health.truncation_loss = share(lost, health.tokens + lost);
}

void read_tokens(const CalibrationSet& set, const Tokenizer& tokenizer, CalibrationHealth& health) {
  std::set<TokenId> distinct;
  TextCensus census;
  for (const auto& ids : set.sequences) {
    distinct.insert(ids.begin(), ids.end());
    if (tokenizer.bos() == ids.front()) ++health.begins_with_bos;
    if (tokenizer.eos() == ids.back()) ++health.ends_with_eos;
    census.add(tokenizer.decode(ids, true));
  }
  health.distinct_tokens = static_cast<std::int64_t>(distinct.size());
  health.code = census.code_share();
  std::int64_t letters = 0;
  for (const auto& [script, count] : census.letters()) letters += count;
  for (const auto& [script, count] : census.letters()) health.scripts.emplace_back(script, share(count, letters));
  std::stable_sort(health.scripts.begin(), health.scripts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
}

void count_for_linears(const Architecture& a, CalibrationHealth& health) {
  health.linears = {{"q, k, v, gate, up", a.hidden, 0}, {"o", a.heads * a.head_dim, 0}, {"down", a.intermediate, 0}};
  for (CalibrationHealth::Linears& linears : health.linears) {
    linears.tokens_per_input = share(health.tokens, linears.inputs);
    if (health.tokens < linears.inputs) {
      health.problems.push_back(fmt::format(
          "too little: {} tokens for linears of {} inputs ({}), whose Hessian is then singular; at least {} "
          "tokens are needed, {} would be ample",
          health.tokens, linears.inputs, linears.names, linears.inputs,
          static_cast<std::int64_t>(kAmpleTokens) * linears.inputs));
    } else if (linears.tokens_per_input < kAmpleTokens) {
      health.remarks.push_back(fmt::format("linears of {} inputs ({}) have {:.1f} tokens for each; {} are ample",
                                           linears.inputs, linears.names, linears.tokens_per_input, kAmpleTokens));
    }
  }
}

void remark(const Tokenizer& tokenizer, CalibrationHealth& health) {
  const auto say = [&](std::string text) { health.remarks.push_back(std::move(text)); };
  if (health.duplicates > 0) say(fmt::format("{} sequences stand in the set before", health.duplicates));
  if (health.repeated > kMuch) say(fmt::format("{:.0f} % of the tokens are repetitions", 100 * health.repeated));
  if (health.truncation_loss > kMuch) {
    say(fmt::format("{:.0f} % of the documents' tokens are cut off; raise 'length'", 100 * health.truncation_loss));
  }
  if (tokenizer.adds_bos() && health.begins_with_bos < health.sequences) {
    say(fmt::format("the model reads texts with BOS in front, and {} of {} sequences have none",
                    health.sequences - health.begins_with_bos, health.sequences));
  }
}

}  // namespace

CalibrationHealth examine(const CalibrationSet& set, const Tokenizer& tokenizer, const Architecture& architecture) {
  CalibrationHealth health;
  health.sequences = static_cast<std::int64_t>(set.sequences.size());
  health.tokens = set.tokens();
  health.lengths = histogram(set);
  find_repetitions(set, health);
  find_truncation(set, health);
  read_tokens(set, tokenizer, health);
  count_for_linears(architecture, health);
  remark(tokenizer, health);
  return health;
}

}  // namespace lowbit
