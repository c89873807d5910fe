#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/branches.h"
#include "lowbit/data/examples.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// A continuation behind its context as EleutherAI's harness cuts them: white space at the context's end goes to the
/// continuation, both are tokenized as one text, and what lies behind as many tokens as the context has alone is
/// scored. An empty context is BOS (or EOS), unless the continuation begins with it. Throws `kData` when nothing is
/// left to be scored, `kUnsupported` when an empty context meets a tokenizer without BOS and EOS.
[[nodiscard]] ScoreRequest continuation_request(const Tokenizer& tokenizer, const std::string& context,
                                                const std::string& continuation);

/// What is scored of a set of questions.
struct ChoicePlan {
  BranchedRequests requests;              ///< question by question: a request a choice, then the unconditional ones
  std::vector<std::size_t> questions;     ///< the numbers in the set of those that are scored
  std::vector<std::size_t> counts;        ///< how many requests each of them has
  std::vector<ExampleProblem> problems;   ///< questions that cannot be scored
  std::vector<ExampleProblem> truncated;  ///< questions that were scored without their beginning
};

/// `context` is the model's, or 0 where it does not matter: longer texts lose their beginning, as in the harness, and
/// continuations that do not fit alone are problems.
[[nodiscard]] ChoicePlan plan_choices(const ExampleSet& set, const Tokenizer& tokenizer, std::int64_t context,
                                      bool unconditional);

}  // namespace lowbit
