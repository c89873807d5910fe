#include "lowbit/evaluation/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "evaluation/logits.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

/// The last token is only predicted, never read.
std::int64_t input_length(const ScoreRequest& request) { return static_cast<std::int64_t>(request.tokens.size()) - 1; }
std::int64_t target_count(const ScoreRequest& request) {
  return static_cast<std::int64_t>(request.tokens.size()) - request.first;
}

void check_request(const ScoreRequest& request, std::size_t index, const Architecture& architecture) {
  LOWBIT_ASSERT(request.first >= 1 && target_count(request) >= 1);
  if (input_length(request) > architecture.context) {
    fail(ErrorCode::kData, "request {}: {} tokens are read, the model's context is {}", index, input_length(request),
         architecture.context);
  }
  for (const TokenId id : request.tokens) {
    if (id >= 0 && id < architecture.vocabulary) continue;
    fail(ErrorCode::kData,
         "request {}: token id {} is not in the model's vocabulary of {}; is the tokenizer the model's own?", index, id,
         architecture.vocabulary);
  }
}

}  // namespace

void ScoreObserver::hidden(std::size_t, const at::Tensor&) {}
void ScoreObserver::logits(std::size_t, std::int64_t, const at::Tensor&) {}

double Score::sum() const { return std::accumulate(log_likelihood.begin(), log_likelihood.end(), 0.0); }

Scorer::Scorer(const Model& model, Options options, Progress& progress, const Cancellation& cancellation)
    : model_(model), options_(options), progress_(progress), cancellation_(cancellation) {
  LOWBIT_ASSERT(options.batch_tokens > 0 && options.logit_rows > 0 && options.wave_tokens > 0);
}

std::vector<Scorer::Batch> Scorer::plan(std::span<const ScoreRequest> requests, bool in_order) const {
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t i) { return input_length(requests[i]); };
  if (!in_order) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  }
  std::vector<Batch> batches;
  for (const std::size_t i : order) {
    const bool fits = !batches.empty() && length(batches.back().front()) == length(i) &&
                      static_cast<std::int64_t>(batches.back().size() + 1) * length(i) <= options_.batch_tokens;
    if (!fits) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

std::vector<at::Tensor> Scorer::run(std::span<const ScoreRequest> requests, std::span<const Batch> wave) const {
  std::vector<at::Tensor> hidden;
  for (const Batch& batch : wave) {
    const std::int64_t length = input_length(requests[batch.front()]);
    std::vector<std::int64_t> ids;
    for (const std::size_t i : batch) {
      ids.insert(ids.end(), requests[i].tokens.begin(), requests[i].tokens.end() - 1);
    }
    const at::Tensor input = tensor_of(std::span<const std::int64_t>(ids));
    hidden.push_back(model_.embed(input.view({static_cast<std::int64_t>(batch.size()), length})));
  }
  model_.run_batches(hidden, cancellation_, [] {});
  return hidden;
}

Score Scorer::score_one(const ScoreRequest& request, std::size_t index, const at::Tensor& hidden,
                        ScoreObserver* observer) const {
  const std::int64_t targets = target_count(request);
  const at::Tensor states = model_.final_norm(hidden.narrow(0, request.first - 1, targets));
  if (observer != nullptr) observer->hidden(index, states);
  std::vector<RowScore> scores(static_cast<std::size_t>(targets));
  for (std::int64_t begin = 0; begin < targets; begin += options_.logit_rows) {
    const std::int64_t rows = std::min(options_.logit_rows, targets - begin);
    const at::Tensor logits = model_.head(states.narrow(0, begin, rows)).cpu().contiguous();
    const std::span<const float> values = values_of<float>(logits);
    const auto width = static_cast<std::size_t>(logits.size(1));
    parallel_for(rows, 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t r = from; r < to; ++r) {
        const TokenId target = request.tokens[static_cast<std::size_t>(request.first + begin + r)];
        scores[static_cast<std::size_t>(begin + r)] =
            score_row(values.subspan(static_cast<std::size_t>(r) * width, width), target);
      }
    });
    if (observer != nullptr) observer->logits(index, begin, logits);
  }
  Score result;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i].log_likelihood)) {
      fail(ErrorCode::kInternal,
           "request {}: the likelihood of token {} is not finite; the model's numbers overflow or are damaged", index,
           static_cast<std::int64_t>(i) + request.first);
    }
    result.log_likelihood.push_back(scores[i].log_likelihood);
    result.greedy.push_back(scores[i].greedy);
  }
  return result;
}

std::vector<Score> Scorer::score(std::span<const ScoreRequest> requests, ScoreObserver* observer) const {
  const NoGradScope no_grad;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    check_request(requests[i], i, model_.architecture());
    total += input_length(requests[i]);
  }
  const std::vector<Batch> batches = plan(requests, observer != nullptr);
  const std::unique_ptr<ProgressTask> task = progress_.start("scoring", total, "tokens");
  const bool streamed = model_.residency() == Model::Residency::kStreamed;
  const auto tokens_of = [&](const Batch& batch) {
    return static_cast<std::int64_t>(batch.size()) * input_length(requests[batch.front()]);
  };
  std::vector<Score> scores(requests.size());
  for (std::size_t begin = 0; begin < batches.size();) {
    cancellation_.check();
    std::size_t end = begin + 1;
    for (std::int64_t tokens = tokens_of(batches[begin]); streamed && end < batches.size(); ++end) {
      tokens += tokens_of(batches[end]);
      if (tokens > options_.wave_tokens) break;
    }
    const std::span<const Batch> wave(batches.data() + begin, end - begin);
    const std::vector<at::Tensor> hidden = run(requests, wave);
    for (std::size_t b = 0; b < wave.size(); ++b) {
      for (std::size_t row = 0; row < wave[b].size(); ++row) {
        const std::size_t i = wave[b][row];
        scores[i] = score_one(requests[i], i, hidden[b].select(0, static_cast<std::int64_t>(row)), observer);
      }
      task->advance(tokens_of(wave[b]));
    }
    begin = end;
  }
  return scores;
}

}  // namespace lowbit
