#include "evaluation/branches.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "evaluation/byte_model.h"
#include "support/test_data.h"
#include "tensor/float_panels.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;

TEST(PackedSequence, HoldsWhatIsSharedOnce) {
  const BranchedRequests all{
      .requests = {{.tokens = {1, 2, 3, 4, 5}, .first = 3}, {.tokens = {1, 2, 3, 6}, .first = 3}}, .groups = {2}};
  PackedSequence packed;
  const RequestGroup group{.first = 0, .count = 2};
  pack_groups(all, {&group, 1}, 0, packed);
  // Inputs 1 2 3 4 and 1 2 3: the trunk is 1 2 3, and one request has a branch.
  EXPECT_THAT(packed.ids, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(packed.positions, ElementsAre(0, 1, 2, 3));
  ASSERT_EQ(packed.segments.size(), 2U);
  ASSERT_EQ(packed.segments[1].before.size(), 1U);
  EXPECT_EQ(packed.segments[1].before[0].length, 3);
  EXPECT_THAT(packed.scored[0].rows, ElementsAre(2, 3));
  EXPECT_EQ(packed.scored[1].request, 1U);
  EXPECT_THAT(packed.scored[1].rows, ElementsAre(2));
  EXPECT_EQ(branched_tokens(all), 4);
  EXPECT_EQ(branched_tokens({all.requests, {1, 1}}), 7);
}

/// Questions behind the shots 1 2 3 4, and one behind others.
BranchedRequests questions_with_shots() {
  return {.requests = {{.tokens = {1, 2, 3, 4, 5, 50, 0}, .first = 6},
                       {.tokens = {1, 2, 3, 4, 5, 51, 0}, .first = 6},
                       {.tokens = {9, 8, 7, 0}, .first = 3},
                       {.tokens = {1, 2, 3, 4, 6, 60, 0}, .first = 6},
                       {.tokens = {1, 2, 3, 4, 6, 61, 0}, .first = 4}},
          .groups = {2, 1, 2}};
}

constexpr RequestGroup kQuestions[] = {{0, 2}, {2, 1}, {3, 2}};

TEST(PackedSequence, HoldsTheShotsOfQuestionsOnce) {
  const std::vector<PackedSequence> packed = pack_sequences(questions_with_shots(), kQuestions, 100, /*freely=*/true);
  ASSERT_EQ(packed.size(), 1U);
  EXPECT_THAT(packed[0].ids, ElementsAre(1, 2, 3, 4, 5, 50, 51, 6, 60, 61, 9, 8, 7));
  EXPECT_THAT(packed[0].positions, ElementsAre(0, 1, 2, 3, 4, 5, 5, 4, 5, 5, 0, 1, 2));
  ASSERT_EQ(packed[0].segments.size(), 8U);
  EXPECT_EQ(packed[0].segments[5].before.size(), 2U);  // 60, behind shots and question
  EXPECT_EQ(packed[0].scored[3].request, 4U);
  EXPECT_THAT(packed[0].scored[3].rows, ElementsAre(3, 7, 9));  // in the shots, the question and the answer
}

TEST(ComputedTokens, AreThoseOfTheSequences) {
  const BranchedRequests all = questions_with_shots();
  EXPECT_EQ(computed_tokens(all, 100, /*freely=*/true), 13);
  EXPECT_EQ(computed_tokens(all, 100, /*freely=*/false), branched_tokens(all));
  std::int64_t rows = 0;
  for (const PackedSequence& sequence : pack_sequences(all, kQuestions, 7, /*freely=*/true)) {
    rows += static_cast<std::int64_t>(sequence.ids.size());
  }
  EXPECT_EQ(computed_tokens(all, 7, /*freely=*/true), rows);
}

TEST(PackedSequence, KeepsWithinABatch) {
  const std::vector<PackedSequence> packed = pack_sequences(questions_with_shots(), kQuestions, 7, /*freely=*/true);
  ASSERT_EQ(packed.size(), 3U);
  EXPECT_THAT(packed[0].ids, ElementsAre(1, 2, 3, 4, 5, 50, 51));
  EXPECT_THAT(packed[1].ids, ElementsAre(1, 2, 3, 4, 6, 60, 61));
}

TEST(PackedSequence, HoldsOneQuestionWhereBitsDependOnNeighbours) {
  const std::vector<PackedSequence> packed = pack_sequences(questions_with_shots(), kQuestions, 100, /*freely=*/false);
  ASSERT_EQ(packed.size(), 3U);
  EXPECT_THAT(packed[2].ids, ElementsAre(9, 8, 7));
}

// A stem is given up only for one that saves more: 2 x 1 row for the third group against 1 x 3 for the first two.
TEST(PackedSequence, KeepsAStemThatSavesMore) {
  const BranchedRequests all{.requests = {{.tokens = {1, 2, 3, 4, 0}, .first = 4},
                                          {.tokens = {1, 2, 3, 5, 0}, .first = 4},
                                          {.tokens = {1, 6, 7, 8, 0}, .first = 4}},
                             .groups = {1, 1, 1}};
  constexpr RequestGroup kGroups[] = {{0, 1}, {1, 1}, {2, 1}};
  const std::vector<PackedSequence> packed = pack_sequences(all, kGroups, 100, /*freely=*/true);
  ASSERT_EQ(packed.size(), 1U);
  EXPECT_THAT(packed[0].ids, ElementsAre(1, 2, 3, 4, 5, 1, 6, 7, 8));
}

/// Groups that share contexts, first tokens or nothing.
BranchedRequests some_requests() {
  BranchedRequests all;
  const auto add = [&](const std::vector<std::pair<std::string, std::string>>& pairs) {
    for (const auto& [context, answer] : pairs) {
      ScoreRequest request{.tokens = {256}, .first = static_cast<std::int64_t>(context.size()) + 1};
      for (const char c : context + answer) request.tokens.push_back(static_cast<unsigned char>(c));
      all.requests.push_back(std::move(request));
    }
    all.groups.push_back(pairs.size());
  };
  add({{"question one:", " yes"}, {"question one:", " no"}, {"question one:", " yes, but"}});
  add({{"letters:", "A"}, {"letters:", "B"}});
  add({{"Ann said she", " won"}, {"Bob said she", " won"}});
  add({{"", "alone"}});
  add({{"a rather longer context than the others", " x"}, {"a rather longer context than the others", " yz"}});
  add({{"a rather longer context than they have", " x"}, {"a rather longer context than they have", ", you"}});
  add({{"a rather longer context than", " the"}, {"a rather longer context than", " they"}});
  return all;
}

std::vector<double> sums(const std::vector<Score>& scores) {
  std::vector<double> result;
  for (const Score& score : scores) result.push_back(score.sum());
  return result;
}

std::vector<Score> branched(const Model& model, const BranchedRequests& requests, Scorer::Options options = {}) {
  return score_branches(Scorer(model, options, *silent_progress(), Cancellation()), requests);
}

TEST(ScoreBranches, GivesWhatWholeSequencesGive) {
  const auto model = testing::make_byte_model();
  const BranchedRequests requests = some_requests();
  const std::vector<Score> found = branched(*model, requests);
  const auto progress = silent_progress();
  const Cancellation cancellation;
  const std::vector<Score> expected = Scorer(*model, {}, *progress, cancellation).score(requests.requests);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].log_likelihood.size(), expected[i].log_likelihood.size()) << i;
    EXPECT_EQ(found[i].greedy, expected[i].greedy) << i;
    for (std::size_t t = 0; t < found[i].log_likelihood.size(); ++t) {
      // float32 products of 32 terms in another order: some ulp of logits below 16
      EXPECT_NEAR(found[i].log_likelihood[t], expected[i].log_likelihood[t], 2e-5) << i << " " << t;
    }
  }
}

TEST(ScoreBranches, DoNotDependOnBatchesOrOrder) {
  const auto model = testing::make_byte_model();
  const BranchedRequests requests = some_requests();
  const std::vector<double> expected = sums(branched(*model, requests));
  for (const std::int64_t batch_tokens : {1, 40, 4096}) {
    EXPECT_EQ(sums(branched(*model, requests, {.batch_tokens = batch_tokens})), expected) << batch_tokens;
  }
  EXPECT_EQ(sums(branched(*model, requests, {.logit_rows = 1})), expected);
  BranchedRequests reversed;
  std::size_t end = requests.requests.size();
  for (auto count = requests.groups.rbegin(); count != requests.groups.rend(); ++count) {
    for (std::size_t i = end - *count; i < end; ++i) reversed.requests.push_back(requests.requests[i]);
    reversed.groups.push_back(*count);
    end -= *count;
  }
  std::vector<double> again = sums(branched(*model, reversed));
  std::vector<double> sorted = expected;
  std::sort(sorted.begin(), sorted.end());
  std::sort(again.begin(), again.end());
  EXPECT_EQ(again, sorted);
}

TEST(ScoreBranches, StreamTheBlocks) {
  const BranchedRequests requests = some_requests();
  const auto resident = testing::make_byte_model();
  const auto streamed = testing::make_byte_model(0, 5, Model::Residency::kStreamed);
  EXPECT_EQ(sums(branched(*streamed, requests, {.batch_tokens = 40, .wave_tokens = 60})),
            sums(branched(*resident, requests)));
}

TEST(ScoreBranches, GoOnBehindWhatWasDone) {
  const testing::TemporaryFolder folder;
  const auto model = testing::make_byte_model();
  const BranchedRequests requests = some_requests();
  const std::vector<double> expected = sums(branched(*model, requests, {.work_folder = folder.path()}));
  // A model whose scores are others: what comes back was read, not computed.
  const auto other = testing::make_byte_model(1);
  EXPECT_EQ(sums(branched(*other, requests, {.work_folder = folder.path()})), expected);
}

}  // namespace
}  // namespace lowbit
