#include "evaluation/choice_requests.h"

#include <algorithm>
#include <optional>

#include "data/unicode_text.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

ScoreRequest behind_nothing(const Tokenizer& tokenizer, std::string_view continuation) {
  const std::optional<TokenId> prefix = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
  if (!prefix) {
    fail(ErrorCode::kUnsupported,
         "an answer without a context is scored behind BOS or EOS, and the tokenizer has neither");
  }
  ScoreRequest request{.tokens = tokenizer.encode(continuation, {.add_special = false, .parse_special = true})};
  if (request.tokens.empty() || request.tokens.front() != *prefix) {
    request.tokens.insert(request.tokens.begin(), *prefix);
  }
  return request;
}

/// Cuts the beginning off so that the model can read all but the last token; false when answers would be cut.
bool cut_to(std::int64_t context, ScoreRequest& request) {
  const std::int64_t excess = static_cast<std::int64_t>(request.tokens.size()) - (context + 1);
  if (excess <= 0) return true;
  if (request.first - excess < 1) return false;
  request.tokens.erase(request.tokens.begin(), request.tokens.begin() + excess);
  request.first -= excess;
  return true;
}

class Planner {
 public:
  Planner(const Tokenizer& tokenizer, std::int64_t context, bool unconditional)
      : tokenizer_(tokenizer), context_(context), unconditional_(unconditional) {}

  void add(const Example& example, std::size_t number, ChoicePlan& plan) const {
    std::vector<ScoreRequest> requests;
    std::int64_t longest = 0;
    try {
      for (std::size_t i = 0; i < example.choices.size(); ++i) {
        requests.push_back(continuation_request(tokenizer_, example.context(i), example.continuation(i)));
      }
      for (std::size_t i = 0; unconditional_ && i < example.choices.size(); ++i) {
        requests.push_back(continuation_request(tokenizer_, "", example.continuation(i)));
      }
      for (ScoreRequest& request : requests) {
        longest = std::max(longest, static_cast<std::int64_t>(request.tokens.size()) - 1);
        if (context_ > 0 && !cut_to(context_, request)) {
          fail(ErrorCode::kData, "an answer of {} tokens does not fit the model's context of {}",
               static_cast<std::int64_t>(request.tokens.size()) - request.first, context_);
        }
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kData) throw;
      plan.problems.push_back({example.where, error.what()});
      return;
    }
    if (context_ > 0 && longest > context_) {
      plan.truncated.push_back({example.where, fmt::format("the prompt of {} tokens is longer than the model's context "
                                                           "of {} and was scored without its beginning",
                                                           longest, context_)});
    }
    plan.questions.push_back(number);
    plan.counts.push_back(requests.size());
    // Unconditional requests begin with BOS alone: in the questions' groups they would leave nothing to share.
    plan.requests.groups.push_back(example.choices.size());
    if (unconditional_) plan.requests.groups.push_back(example.choices.size());
    std::move(requests.begin(), requests.end(), std::back_inserter(plan.requests.requests));
  }

 private:
  const Tokenizer& tokenizer_;
  std::int64_t context_;
  bool unconditional_;
};

}  // namespace

ScoreRequest continuation_request(const Tokenizer& tokenizer, const std::string& context,
                                  const std::string& continuation) {
  const std::string_view trimmed = trim_end(context);
  const std::string whole = context + continuation;
  ScoreRequest request;
  if (trimmed.empty()) {
    request = behind_nothing(tokenizer, whole);
  } else {
    request.tokens = encode_prompt(tokenizer, whole);
    request.first = static_cast<std::int64_t>(encode_prompt(tokenizer, trimmed).size());
  }
  if (request.first >= static_cast<std::int64_t>(request.tokens.size())) {
    fail(ErrorCode::kData, "the answer '{}' has no token of its own behind its context", continuation);
  }
  return request;
}

ChoicePlan plan_choices(const ExampleSet& set, const Tokenizer& tokenizer, std::int64_t context, bool unconditional) {
  const Planner planner(tokenizer, context, unconditional);
  ChoicePlan plan;
  for (std::size_t i = 0; i < set.examples.size(); ++i) planner.add(set.examples[i], i, plan);
  return plan;
}

}  // namespace lowbit
