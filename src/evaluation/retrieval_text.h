#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/evaluation/scorer.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// What decides the texts.
struct RetrievalPlan {
  std::int64_t length = 512;  ///< tokens of a test at most, the answer among them
  std::int64_t tests = 50;
  std::int64_t seed = 0;
};

/// A text of records "The code of the red house is 48213.", each name once, and the beginning of one of them again: the
/// answer is its code.
struct RetrievalTest {
  ScoreRequest request;  ///< scored is the answer; the prefill ends where the question begins
  double depth = 0;      ///< of the record that is asked for: 0 the first, 1 the last
  std::int64_t records = 0;
};

/// The records that are asked for stand evenly from the first place (first test) to the last (last test). Throws
/// `kConfig` when `length` has no room for two records, `kUnsupported` when the tokenizer joins question and answer.
[[nodiscard]] std::vector<RetrievalTest> make_retrieval_tests(const RetrievalPlan& plan, const Tokenizer& tokenizer);

}  // namespace lowbit
