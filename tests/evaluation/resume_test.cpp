#include <gmock/gmock.h>

#include <fstream>
#include <functional>

#include "evaluation/byte_model.h"
#include "evaluation/perplexity.h"
#include "evaluation/score_journal.h"
#include "lowbit/base/files.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::make_byte_model;
using testing::TemporaryFolder;

std::vector<ScoreRequest> some_requests(std::uint64_t count = 12) {
  const Random random(3, "requests");
  std::vector<ScoreRequest> requests;
  for (std::uint64_t i = 0; i < count; ++i) {
    ScoreRequest request{.tokens = {}, .first = 1};
    for (std::uint64_t t = 0; t < 10 + i % 3; ++t) {
      request.tokens.push_back(static_cast<TokenId>(random.below(100 * i + t, 257)));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

/// Asks for a stop after some batches, and remembers how many tokens a pass had before it.
class StopAfter : public Progress {
 public:
  explicit StopAfter(int batches = -1) : batches_(batches) {}
  std::unique_ptr<ProgressTask> start(std::string, std::int64_t total, std::string) override {
    total_ = total;
    return std::make_unique<Task>(*this);
  }
  [[nodiscard]] std::int64_t total() const { return total_; }
  [[nodiscard]] const Cancellation& cancellation() const { return cancellation_; }

 private:
  struct Task : ProgressTask {
    explicit Task(StopAfter& owner) : owner_(owner) {}
    void advance(std::int64_t) override {
      if (--owner_.batches_ == 0) owner_.cancellation_.request();
    }
    void note(std::string_view) override {}
    StopAfter& owner_;
  };
  int batches_;
  std::int64_t total_ = 0;
  Cancellation cancellation_;
};

std::vector<Score> score(std::span<const ScoreRequest> requests, StopAfter& progress,
                         const std::filesystem::path& work_folder, std::int64_t batch_tokens = 20) {
  const auto model = make_byte_model();
  Scorer::Options options;
  options.batch_tokens = batch_tokens;
  options.work_folder = work_folder;
  return Scorer(*model, options, progress, progress.cancellation()).score(requests);
}

std::vector<Score> undisturbed(std::span<const ScoreRequest> requests) {
  StopAfter progress;
  return score(requests, progress, "");
}

void expect_same_bits(const std::vector<Score>& a, const std::vector<Score>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].log_likelihood, b[i].log_likelihood) << i;
    EXPECT_EQ(a[i].greedy, b[i].greedy) << i;
  }
}

// The journal of a whole pass, and what is in it.
std::pair<std::filesystem::path, std::string> written_journal(std::span<const ScoreRequest> requests,
                                                              const TemporaryFolder& folder) {
  StopAfter progress;
  (void)score(requests, progress, folder.path());
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().extension() == ".scores") return {entry.path(), read_file(entry.path())};
  }
  return {};
}

// 12 requests of 9, 10 and 11 tokens read; a batch holds two of 9 or 10, or one of 11: the longest come first.
TEST(Resuming, GoesOnAtTheNextBatchWithTheSameBits) {
  const std::vector<ScoreRequest> requests = some_requests();
  const std::vector<Score> expected = undisturbed(requests);
  const TemporaryFolder folder;
  StopAfter first(5);
  EXPECT_THROW((void)score(requests, first, folder.path()), Error);
  EXPECT_EQ(first.total(), 4 * (9 + 10 + 11));
  StopAfter second(1);
  EXPECT_THROW((void)score(requests, second, folder.path(), 1), Error);
  EXPECT_EQ(second.total(), 4 * 9 + 2 * 10);  // four of 11 and two of 10 were done
  StopAfter third;
  expect_same_bits(score(requests, third, folder.path(), 1000), expected);
  EXPECT_EQ(third.total(), 4 * 9 + 10);
  StopAfter fourth;
  expect_same_bits(score(requests, fourth, folder.path()), expected);
  EXPECT_EQ(fourth.total(), 0);
}

TEST(Resuming, TakesNoScoresOfOtherRequests) {
  std::vector<ScoreRequest> requests = some_requests();
  const TemporaryFolder folder;
  StopAfter progress;
  (void)score(requests, progress, folder.path());
  requests[3].tokens[2] += 1;
  StopAfter other;
  expect_same_bits(score(requests, other, folder.path()), undisturbed(requests));
  EXPECT_EQ(other.total(), 4 * (9 + 10 + 11));
}

// Cut at any place, as a kill or a full disk leaves it: what is whole counts, the rest is scored again.
TEST(Resuming, HoldsAJournalThatWasCutOff) {
  const std::vector<ScoreRequest> requests = some_requests(3);
  const std::vector<Score> expected = undisturbed(requests);
  const TemporaryFolder folder;
  const auto [journal, whole] = written_journal(requests, folder);
  for (std::size_t size = 0; size < whole.size(); size += 37) {
    write_file_atomically(journal, whole.substr(0, size));
    StopAfter again;
    expect_same_bits(score(requests, again, folder.path()), expected);
    EXPECT_GT(again.total(), 0) << size;
    EXPECT_EQ(read_file(journal).size(), whole.size()) << size;
  }
}

TEST(Resuming, ScoresAgainWhatWasDamaged) {
  const std::vector<ScoreRequest> requests = some_requests(3);
  const std::vector<Score> expected = undisturbed(requests);
  const TemporaryFolder folder;
  const auto [journal, whole] = written_journal(requests, folder);
  for (std::size_t place = 0; place < whole.size(); place += 29) {
    std::string damaged = whole;
    damaged[place] = static_cast<char>(damaged[place] ^ 0x40);
    write_file_atomically(journal, damaged);
    StopAfter again;
    expect_same_bits(score(requests, again, folder.path()), expected);
    EXPECT_GT(again.total(), 0) << place;
  }
}

TEST(ScoreJournal, BelongsToOnePass) {
  const TemporaryFolder folder;
  const std::vector<std::byte> observed = {std::byte{1}, std::byte{2}};
  {
    ScoreJournal journal(folder / "j", hash_of("one"));
    journal.add(4, {{-1.5, -2.5}, {true, false}}, observed);
  }
  {
    const ScoreJournal same(folder / "j", hash_of("one"));
    ASSERT_EQ(same.records().size(), 1U);
    const ScoreJournal::Record& record = same.records().at(4);
    EXPECT_EQ(record.score.log_likelihood, (std::vector<double>{-1.5, -2.5}));
    EXPECT_EQ(record.score.greedy, (std::vector<bool>{true, false}));
    EXPECT_EQ(record.observed, observed);
  }
  EXPECT_TRUE(ScoreJournal(folder / "j", hash_of("two")).records().empty());
  EXPECT_TRUE(ScoreJournal(folder / "j", hash_of("one")).records().empty());
}

void expect_same_result(const EvaluationResult& a, const EvaluationResult& b) {
  ASSERT_EQ(a.metrics.size(), b.metrics.size());
  for (std::size_t i = 0; i < a.metrics.size(); ++i) {
    EXPECT_EQ(a.metrics[i].name, b.metrics[i].name);
    EXPECT_EQ(a.metrics[i].value, b.metrics[i].value) << a.metrics[i].name;
    EXPECT_EQ(a.metrics[i].standard_error, b.metrics[i].standard_error) << a.metrics[i].name;
  }
  ASSERT_EQ(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    EXPECT_EQ(a.items[i].id, b.items[i].id);
    EXPECT_EQ(a.items[i].value, b.items[i].value) << i;
    EXPECT_EQ(a.items[i].more, b.items[i].more) << i;
  }
  EXPECT_EQ(a.facts, b.facts);
}

/// Perplexity with its comparison, stopped again and again.
class ResumedPerplexity : public ::testing::Test {
 protected:
  ResumedPerplexity() : catalog_({}, {}) {
    std::string text;
    const Random random(11, "text");
    for (std::uint64_t i = 0; i < 600; ++i) text += static_cast<char>('a' + random.below(i, 26));
    write_file_atomically(folder_ / "tale.txt", text);
    make_folders(folder_ / "work");
  }

  EvaluationResult run(StopAfter& progress, const std::string& reference, const std::string& work,
                       const Model* baseline) const {
    const auto model = make_byte_model(baseline == nullptr ? 0 : 0.3);
    Scorer::Options options;
    options.batch_tokens = 32;
    if (!work.empty()) options.work_folder = folder_ / work;
    const Scorer scorer(*model, options, progress, progress.cancellation());
    PerplexityOptions perplexity;
    perplexity.dataset = (folder_ / "tale.txt").string();
    perplexity.protocol = "gptq-32";
    return Perplexity(perplexity).run({scorer, catalog_, 0, folder_ / reference, baseline == nullptr, baseline});
  }

  // Stopped after every batch, one more each time; the number of attempts.
  int run_with_stops(const std::string& reference, const std::string& work, const Model* baseline,
                     EvaluationResult& result) const {
    for (int attempt = 1;; ++attempt) {
      StopAfter progress(1);
      try {
        result = run(progress, reference, work, baseline);
        return attempt;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
      }
    }
  }

  std::string states(const std::string& reference) const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / reference)) all += read_file(entry.path());
    return all;
  }

  TemporaryFolder folder_;
  DatasetCatalog catalog_;
};

TEST_F(ResumedPerplexity, EqualsAnUndisturbedOneWithItsStatesAndDivergence) {
  StopAfter never;
  const EvaluationResult float_result = run(never, "reference", "", nullptr);
  const auto baseline = make_byte_model();
  const EvaluationResult compared = run(never, "reference", "", baseline.get());

  EvaluationResult resumed;
  make_folders(folder_ / "work-float");
  EXPECT_GE(run_with_stops("reference-stopped", "work-float", nullptr, resumed), 18);
  expect_same_result(resumed, float_result);
  EXPECT_EQ(states("reference-stopped"), states("reference"));
  EXPECT_GE(run_with_stops("reference-stopped", "work", baseline.get(), resumed), 18);
  expect_same_result(resumed, compared);
}

TEST_F(ResumedPerplexity, FindsTheStatesUnderTheirFinalNameToo) {
  StopAfter first;
  (void)run(first, "reference", "work", nullptr);
  const std::string expected = states("reference");
  StopAfter again;
  (void)run(again, "reference", "work", nullptr);
  EXPECT_EQ(again.total(), 0);
  EXPECT_EQ(states("reference"), expected);
}

TEST_F(ResumedPerplexity, ScoresAgainWhatLostItsStates) {
  StopAfter whole;
  (void)run(whole, "reference", "", nullptr);
  StopAfter stopped(4);
  EXPECT_THROW((void)run(stopped, "other", "work", nullptr), Error);
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "work")) {
    if (entry.path().extension() != ".safetensors") continue;
    // The second window's states, behind the header.
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(entry.path()) - 3 * 31 * 32 * 4 + 5));
    file.write("x", 1);
  }
  StopAfter again;
  (void)run(again, "other", "work", nullptr);
  EXPECT_EQ(again.total(), 17 * 31);
  EXPECT_EQ(states("other"), states("reference"));
}

}  // namespace
}  // namespace lowbit
