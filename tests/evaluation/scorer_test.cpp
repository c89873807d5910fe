#include "lowbit/evaluation/scorer.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "evaluation/byte_model.h"
#include "lowbit/tensor/parallel.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::make_byte_model;

/// Requests of many lengths, some scored in part only.
std::vector<ScoreRequest> some_requests() {
  const Random random(3, "requests");
  std::vector<ScoreRequest> requests;
  for (std::uint64_t i = 0; i < 24; ++i) {
    ScoreRequest request;
    const std::uint64_t length = i % 3 == 0 ? 33 : 2 + random.below(i, 62);
    for (std::uint64_t t = 0; t < length; ++t) {
      request.tokens.push_back(static_cast<TokenId>(random.below(1000 * (i + 1) + t, 257)));
    }
    request.first = 1 + static_cast<std::int64_t>(random.below(500 + i, length - 1));
    requests.push_back(std::move(request));
  }
  return requests;
}

class Scoring {
 public:
  explicit Scoring(std::shared_ptr<Model> model, Scorer::Options options = {})
      : model_(std::move(model)), progress_(silent_progress()), scorer_(*model_, options, *progress_, cancellation_) {}
  std::vector<Score> score(std::span<const ScoreRequest> requests, ScoreObserver* observer = nullptr) const {
    return scorer_.score(requests, observer);
  }
  Cancellation& cancellation() { return cancellation_; }

 private:
  std::shared_ptr<Model> model_;
  std::unique_ptr<Progress> progress_;
  Cancellation cancellation_;
  Scorer scorer_;
};

void expect_same_bits(const std::vector<Score>& a, const std::vector<Score>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].log_likelihood, b[i].log_likelihood) << i;
    EXPECT_EQ(a[i].greedy, b[i].greedy) << i;
  }
}

// The reference runs each request whole and by itself; its products have other shapes, so float32 rounding remains:
// logits below 40 in size from sums of 48 terms, 1e-4 is far above it.
TEST(Scorer, AgreesWithALogSoftmaxOfEachRequest) {
  const auto model = make_byte_model();
  const std::vector<ScoreRequest> requests = some_requests();
  const std::vector<Score> scores = Scoring(model).score(requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::vector<std::int64_t> ids(requests[i].tokens.begin(), requests[i].tokens.end());
    const at::Tensor input = tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0);
    const at::Tensor logits = model->logits(model->run(model->embed(input)).select(0, 0)).to(at::kDouble);
    const at::Tensor expected = logits.log_softmax(-1);
    ASSERT_EQ(scores[i].log_likelihood.size(), ids.size() - static_cast<std::size_t>(requests[i].first));
    for (std::size_t t = 0; t < scores[i].log_likelihood.size(); ++t) {
      const std::int64_t position = requests[i].first + static_cast<std::int64_t>(t);
      const std::int64_t target = ids[static_cast<std::size_t>(position)];
      EXPECT_NEAR(scores[i].log_likelihood[t], expected[position - 1][target].item<double>(), 1e-4);
      EXPECT_EQ(scores[i].greedy[t], expected[position - 1].argmax().item<std::int64_t>() == target);
    }
  }
}

TEST(Scorer, DoesNotDependOnBatchThreadsOrStreaming) {
  const std::vector<ScoreRequest> requests = some_requests();
  const std::vector<Score> expected = Scoring(make_byte_model()).score(requests);
  expect_same_bits(Scoring(make_byte_model(), {.batch_tokens = 1}).score(requests), expected);
  expect_same_bits(Scoring(make_byte_model(), {.batch_tokens = 70}).score(requests), expected);
  const auto streamed = [] { return make_byte_model(0, 5, Model::Residency::kStreamed); };
  expect_same_bits(Scoring(streamed()).score(requests), expected);
  expect_same_bits(Scoring(streamed(), {.batch_tokens = 40, .wave_tokens = 100}).score(requests), expected);
  const int threads = thread_count();
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    expect_same_bits(Scoring(make_byte_model()).score(requests), expected);
  }
  set_thread_count(threads);
}

TEST(Scorer, DoesNotDependOnTheOrderOfRequests) {
  std::vector<ScoreRequest> requests = some_requests();
  std::vector<Score> expected = Scoring(make_byte_model()).score(requests);
  std::reverse(requests.begin(), requests.end());
  std::reverse(expected.begin(), expected.end());
  expect_same_bits(Scoring(make_byte_model()).score(requests), expected);
}

class Recorder : public ScoreObserver {
 public:
  void hidden(std::size_t request, const at::Tensor& states) override {
    order.push_back(request);
    states_rows.push_back(states.size(0));
    logit_rows.push_back(0);
  }
  void logits(std::size_t request, std::int64_t first_row, const at::Tensor& rows) override {
    EXPECT_EQ(request, order.back());
    EXPECT_EQ(first_row, logit_rows.back());
    logit_rows.back() += rows.size(0);
  }
  std::vector<std::size_t> order;
  std::vector<std::int64_t> states_rows;
  std::vector<std::int64_t> logit_rows;
};

TEST(Scorer, ShowsRequestsInTheirOrderWithoutChangingTheResult) {
  const std::vector<ScoreRequest> requests = some_requests();
  Recorder recorder;
  const Scoring scoring(make_byte_model(), {.logit_rows = 7});
  expect_same_bits(scoring.score(requests, &recorder), scoring.score(requests));
  ASSERT_EQ(recorder.order.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(recorder.order[i], i);
    EXPECT_EQ(recorder.states_rows[i], static_cast<std::int64_t>(requests[i].tokens.size()) - requests[i].first);
    EXPECT_EQ(recorder.logit_rows[i], recorder.states_rows[i]);
  }
}

TEST(Scorer, NamesTheRequestThatItRefuses) {
  const Scoring scoring(make_byte_model());
  std::vector<ScoreRequest> requests = some_requests();
  requests[5].tokens.assign(65, 1);  // reads 64: just fits
  EXPECT_NO_THROW((void)scoring.score(requests));
  requests[5].tokens.assign(66, 1);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)scoring.score(requests); }),
            "request 5: 65 tokens are read, the model's context is 64");
  requests[5].tokens = {1, 257};
  requests[5].first = 1;
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)scoring.score(requests); }),
            "request 5: token id 257 is not in the model's vocabulary of 257; is the tokenizer the model's own?");
}

TEST(Scorer, NamesRequestAndTokenOfADamagedLikelihood) {
  const Scoring scoring(make_byte_model(0, std::numeric_limits<double>::quiet_NaN()));
  const std::vector<ScoreRequest> requests = {{.tokens = {1, 2, 3}, .first = 2}};
  EXPECT_EQ(error_text(ErrorCode::kInternal, [&] { (void)scoring.score(requests); }),
            "request 0: the likelihood of token 2 is not finite; the model's numbers overflow or are damaged");
}

TEST(Scorer, StopsWhenAsked) {
  Scoring scoring(make_byte_model());
  scoring.cancellation().request();
  EXPECT_EQ(error_text(ErrorCode::kInterrupted, [&] { (void)scoring.score(some_requests()); }),
            "interrupted; run the same command again to continue");
}

}  // namespace
}  // namespace lowbit
