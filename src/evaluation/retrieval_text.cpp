#include "evaluation/retrieval_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "base/common_prefix.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

constexpr std::string_view kQualities[] = {"red",   "blue",  "green",  "white",  "black",  "yellow", "brown",  "grey",
                                           "old",   "new",   "small",  "large",  "long",   "short",  "round",  "flat",
                                           "heavy", "light", "warm",   "cold",   "dry",    "wet",    "clean",  "dusty",
                                           "quiet", "loud",  "bright", "dark",   "open",   "closed", "empty",  "full",
                                           "soft",  "hard",  "plain",  "broken", "golden", "wooden", "narrow", "wide"};
constexpr std::string_view kThings[] = {
    "house",  "garden",  "bridge", "tower",   "river",  "forest",  "village", "castle", "kitchen", "window",
    "table",  "chair",   "lamp",   "book",    "letter", "picture", "mirror",  "clock",  "piano",   "guitar",
    "boat",   "train",   "wagon",  "bicycle", "horse",  "farm",    "field",   "island", "market",  "school",
    "office", "library", "museum", "station", "harbor", "tunnel",  "cellar",  "attic",  "barn",    "mill"};
constexpr std::size_t kNames = std::size(kQualities) * std::size(kThings);
constexpr std::size_t kFewestRecords = 2;

struct Record {
  std::string beginning;  // up to the code
  std::string code;       // with the blank before it
};

// Every name once, in an order of the test's own.
std::vector<Record> draw_records(const Random& random) {
  std::vector<std::size_t> names(kNames);
  std::iota(names.begin(), names.end(), std::size_t{0});
  std::uint64_t counter = 0;
  for (std::size_t left = names.size(); left > 1; --left) {
    std::swap(names[left - 1], names[random.below(counter++, left)]);
  }
  std::vector<Record> records;
  for (const std::size_t name : names) {
    const std::string_view quality = kQualities[name / std::size(kThings)];
    const std::string_view thing = kThings[name % std::size(kThings)];
    records.push_back({fmt::format("The code of the {} {} is", quality, thing),
                       fmt::format(" {}", 10000 + random.below(counter++, 90000))});
  }
  return records;
}

class TestMaker {
 public:
  TestMaker(const RetrievalPlan& plan, const Tokenizer& tokenizer) : plan_(plan), tokenizer_(tokenizer) {}

  [[nodiscard]] RetrievalTest make(std::int64_t index) const {
    const std::vector<Record> records =
        draw_records(Random(static_cast<std::uint64_t>(plan_.seed), fmt::format("retrieval/{}", index)));
    const double depth = plan_.tests > 1 ? static_cast<double>(index) / static_cast<double>(plan_.tests - 1) : 0.5;
    std::size_t count = std::min(kNames, first_guess(records.front()));
    for (;;) {
      if (count < kFewestRecords) {
        fail(ErrorCode::kConfig, "retrieval: 'length' is {}, in which there is no room for {} records and a question",
             plan_.length, kFewestRecords);
      }
      RetrievalTest test = ask(records, count, depth);
      const auto size = static_cast<std::int64_t>(test.request.tokens.size());
      if (size <= plan_.length) return test;
      const std::int64_t of_record = std::max<std::int64_t>(1, size / static_cast<std::int64_t>(count));
      const auto excess = static_cast<std::size_t>(std::max<std::int64_t>(1, (size - plan_.length) / of_record));
      count -= std::min(count, excess);
    }
  }

 private:
  // More than will fit.
  [[nodiscard]] std::size_t first_guess(const Record& record) const {
    const std::size_t tokens = tokenizer_.encode(record.beginning + record.code + ".\n", {.add_special = false}).size();
    return static_cast<std::size_t>(plan_.length) * 5 / 4 / std::max<std::size_t>(1, tokens) + 2;
  }

  [[nodiscard]] RetrievalTest ask(const std::vector<Record>& records, std::size_t count, double depth) const {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += records[i].beginning + records[i].code + ".\n";
    const auto asked = static_cast<std::size_t>(std::lround(depth * static_cast<double>(count - 1)));
    const std::string question = text + records[asked].beginning;
    RetrievalTest test{.request = {.tokens = tokenizer_.encode(question + records[asked].code), .first = 1},
                       .depth = depth,
                       .records = static_cast<std::int64_t>(count)};
    const std::size_t answer = common_prefix(test.request.tokens, tokenizer_.encode(question));
    const std::size_t prefill = common_prefix(test.request.tokens, tokenizer_.encode(text));
    if (prefill == 0 || answer <= prefill || answer >= test.request.tokens.size()) {
      fail(ErrorCode::kUnsupported, "retrieval: tokenizer '{}' joins the tokens of text, question and answer",
           tokenizer_.kind());
    }
    test.request.first = static_cast<std::int64_t>(answer);
    test.request.prefill = static_cast<std::int64_t>(prefill);
    return test;
  }

  const RetrievalPlan& plan_;
  const Tokenizer& tokenizer_;
};

}  // namespace

std::vector<RetrievalTest> make_retrieval_tests(const RetrievalPlan& plan, const Tokenizer& tokenizer) {
  const TestMaker maker(plan, tokenizer);
  std::vector<RetrievalTest> tests;
  for (std::int64_t i = 0; i < plan.tests; ++i) tests.push_back(maker.make(i));
  return tests;
}

}  // namespace lowbit
