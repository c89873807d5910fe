#include "lowbit/evaluation/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "evaluation/logits.h"
#include "evaluation/score_journal.h"
#include "lowbit/base/error.h"
#include "lowbit/base/log.h"
#include "lowbit/base/resident.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "model/row_slices.h"

namespace lowbit {
namespace {

/// The last token is only predicted, never read.
std::int64_t input_length(const ScoreRequest& request) { return static_cast<std::int64_t>(request.tokens.size()) - 1; }
std::int64_t target_count(const ScoreRequest& request) {
  return static_cast<std::int64_t>(request.tokens.size()) - request.first;
}

void check_request(const ScoreRequest& request, std::size_t index, const Architecture& architecture) {
  LOWBIT_ASSERT(request.first >= 1 && target_count(request) >= 1);
  LOWBIT_ASSERT(request.prefill >= 0 && request.prefill <= input_length(request));
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

// Gives back what an earlier process finished, into `scores`; returns which requests are done. An observer sees
// requests in their order, so there they are the leading ones.
std::vector<bool> restore_finished(const ScoreJournal& journal, std::span<const ScoreRequest> requests,
                                   ScoreObserver* observer, std::vector<Score>& scores) {
  std::vector<bool> done(requests.size(), false);
  for (const auto& [request, record] : journal.records()) {
    if (request >= requests.size()) continue;
    if (static_cast<std::int64_t>(record.score.greedy.size()) != target_count(requests[request])) continue;
    const bool next = request == 0 || done[request - 1];
    if (observer != nullptr && (!next || !observer->restore(request, record.observed))) break;
    scores[request] = record.score;
    done[request] = true;
  }
  const auto count = std::count(done.begin(), done.end(), true);
  if (count > 0) log::info("scoring goes on: {} of {} requests were done before", count, requests.size());
  return done;
}

// What is left to do, the longest first unless an observer needs the order of the requests.
std::vector<std::size_t> open_requests(std::span<const ScoreRequest> requests, const std::vector<bool>& done,
                                       bool in_order) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!done[i]) order.push_back(i);
  }
  const auto length = [&](std::size_t i) { return input_length(requests[i]); };
  if (!in_order) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  }
  return order;
}

}  // namespace

Hash hash_of_requests(std::span<const ScoreRequest> requests) {
  Hasher hasher;
  for (const ScoreRequest& request : requests) {
    hasher.add(request.first).add_bytes(request.tokens.data(), request.tokens.size() * sizeof(TokenId));
    hasher.add(static_cast<std::uint64_t>(request.tokens.size()));
    if (request.prefill > 0) hasher.add("prefill").add(request.prefill);
  }
  return hasher.finish();
}

std::vector<std::byte> ScoreObserver::save(std::size_t) { return {}; }
bool ScoreObserver::restore(std::size_t, std::span<const std::byte>) { return false; }
void ScoreObserver::hidden(std::size_t, const at::Tensor&) {}
void ScoreObserver::logits(std::size_t, std::int64_t, const at::Tensor&) {}

double Score::sum() const { return std::accumulate(log_likelihood.begin(), log_likelihood.end(), 0.0); }

Scorer::Scorer(const Model& model, const Options& options, Progress& progress, const Cancellation& cancellation)
    : model_(model), options_(options), progress_(progress), cancellation_(cancellation) {
  LOWBIT_ASSERT(options.batch_tokens > 0 && options.logit_rows > 0 && options.wave_tokens > 0);
}

std::vector<Scorer::Batch> Scorer::plan(std::span<const ScoreRequest> requests,
                                        std::span<const std::size_t> order) const {
  const auto length = [&](std::size_t i) { return input_length(requests[i]); };
  const auto alike = [&](std::size_t a, std::size_t b) {
    return length(a) == length(b) && requests[a].prefill == requests[b].prefill;
  };
  std::vector<Batch> batches;
  for (const std::size_t i : order) {
    const bool fits = !batches.empty() && alike(batches.back().front(), i) &&
                      static_cast<std::int64_t>(batches.back().size() + 1) * length(i) <= options_.batch_tokens;
    if (!fits) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

// How many batches pass the blocks together: one, or for a streamed model as many as `wave_tokens` allow.
std::size_t Scorer::wave_length(std::span<const ScoreRequest> requests, std::span<const Batch> batches) const {
  if (model_.residency() != Model::Residency::kStreamed) return 1;
  std::size_t count = 0;
  std::int64_t tokens = 0;
  for (const Batch& batch : batches) {
    tokens += static_cast<std::int64_t>(batch.size()) * input_length(requests[batch.front()]);
    if (count > 0 && tokens > options_.wave_tokens) break;
    ++count;
  }
  return count;
}

std::vector<Scorer::BatchStates> Scorer::run(std::span<const ScoreRequest> requests,
                                             std::span<const Batch> wave) const {
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
  std::vector<BatchStates> states;
  if (requests[wave.front().front()].prefill == 0) {
    model_.run_batches(hidden, cancellation_, [] {});
    if (model_.residency() == Model::Residency::kStreamed) release_freed_memory();
    for (at::Tensor& batch : hidden) states.push_back({std::move(batch), 0});
    return states;
  }
  std::vector<DecodedBatch> decoded;
  for (std::size_t b = 0; b < wave.size(); ++b) {
    decoded.push_back({std::move(hidden[b]), requests[wave[b].front()].prefill, 0});
  }
  model_.decode_batches(decoded, cancellation_);
  for (DecodedBatch& batch : decoded) {
    const std::int64_t of_sequence = batch.cache_bytes / batch.hidden.size(0);
    states.push_back({std::move(batch.hidden), of_sequence});
  }
  return states;
}

Score Scorer::score_one(const ScoreRequest& request, std::size_t index, const at::Tensor& hidden,
                        ScoreObserver* observer) const {
  const std::int64_t targets = target_count(request);
  const at::Tensor states = model_.final_norm(hidden.narrow(0, request.first - 1, targets));
  if (observer != nullptr) observer->hidden(index, states);
  std::vector<RowScore> scores;
  const bool whole = observer != nullptr && observer->wants_logits();
  const std::int64_t most = whole ? std::min(options_.logit_rows, kWholeRows) : options_.logit_rows;
  std::int64_t rows = 0;
  for (std::int64_t begin = 0; begin < targets; begin += rows) {
    rows = rows_of_slice(targets - begin, most);
    const auto target = [&](std::int64_t row) {
      return std::int64_t{request.tokens[static_cast<std::size_t>(request.first + begin + row)]};
    };
    RowScores found(rows, model_.architecture().vocabulary);
    for (std::int64_t row = 0; row < rows; ++row) found.want(row, target(row));
    if (!whole) {
      model_.head_parts(states.narrow(0, begin, rows), found);
    } else {
      const at::Tensor logits = model_.head(states.narrow(0, begin, rows)).cpu().contiguous();
      take_in_parts(logits, found);
      observer->logits(index, begin, logits);
    }
    for (std::int64_t row = 0; row < rows; ++row) scores.push_back(found.score(row, target(row)));
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

void Scorer::check(std::span<const ScoreRequest> requests) const {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    check_request(requests[i], i, model_.architecture());
    LOWBIT_ASSERT((requests[i].prefill > 0) == (requests.front().prefill > 0));
  }
}

std::vector<Score> Scorer::score(std::span<const ScoreRequest> requests, ScoreObserver* observer) const {
  const NoGradScope no_grad;
  check(requests);
  std::vector<Score> scores(requests.size());
  std::optional<ScoreJournal> journal;
  std::vector<bool> done(requests.size(), false);
  if (!options_.work_folder.empty()) {
    const Hash pass = hash_of_requests(requests);
    journal.emplace(options_.work_folder / (pass.hex() + ".scores"), pass);
    done = restore_finished(*journal, requests, observer, scores);
  }
  const std::vector<Batch> batches = plan(requests, open_requests(requests, done, observer != nullptr));
  const auto tokens_of = [&](const Batch& batch) {
    return static_cast<std::int64_t>(batch.size()) * input_length(requests[batch.front()]);
  };
  std::int64_t total = 0;
  for (const Batch& batch : batches) total += tokens_of(batch);
  const std::unique_ptr<ProgressTask> task = progress_.start("scoring", total, "tokens");
  for (std::size_t begin = 0; begin < batches.size();) {
    cancellation_.check();
    const std::span<const Batch> wave(batches.data() + begin, wave_length(requests, std::span(batches).subspan(begin)));
    const std::vector<BatchStates> states = run(requests, wave);
    for (std::size_t b = 0; b < wave.size(); ++b) {
      for (std::size_t row = 0; row < wave[b].size(); ++row) {
        const std::size_t i = wave[b][row];
        scores[i] = score_one(requests[i], i, states[b].hidden.select(0, static_cast<std::int64_t>(row)), observer);
        scores[i].cache_bytes = states[b].cache_bytes;
        if (journal) journal->add(i, scores[i], observer != nullptr ? observer->save(i) : std::vector<std::byte>());
      }
      task->advance(tokens_of(wave[b]));
    }
    begin += wave.size();
  }
  return scores;
}

}  // namespace lowbit
