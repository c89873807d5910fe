#include "evaluation/writing.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "evaluation/byte_model.h"
#include "lowbit/base/utf8.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

std::vector<WritingRequest> some_requests() {
  std::vector<WritingRequest> requests;
  for (const char* prompt : {"one", "two and more", "three", "a rather longer prompt than the others", "x"}) {
    requests.push_back({.id = prompt, .prompt = testing::ByteTokenizer().encode(prompt)});
  }
  return requests;
}

GenerationOptions options_of(std::int64_t tokens, double temperature = 0) {
  GenerationOptions options;
  options.max_new_tokens = tokens;
  options.temperature = temperature;
  options.seed = 5;
  return options;
}

std::vector<std::string> written(const Model& model, const GenerationOptions& options, Scorer::Options scorer = {},
                                 const std::vector<WritingRequest>& requests = some_requests()) {
  const auto progress = silent_progress();
  const Cancellation cancellation;
  return write_answers(Scorer(model, scorer, *progress, cancellation), requests, options);
}

// One prompt after the other by the program's own generator, which knows nothing of batches.
TEST(WriteAnswers, WritesWhatGenerateWrites) {
  const auto model = testing::make_byte_model();
  const GenerationOptions options = options_of(20);
  const std::vector<std::string> texts = written(*model, options);
  const std::vector<WritingRequest> requests = some_requests();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(texts[i], replace_invalid_utf8(generate(*model, requests[i].prompt, options, {}).text)) << i;
    EXPECT_FALSE(texts[i].empty());
  }
}

TEST(WriteAnswers, DoNotDependOnBatchesOrOrder) {
  const auto model = testing::make_byte_model();
  for (const double temperature : {0.0, 1.5}) {
    const GenerationOptions options = options_of(16, temperature);
    const std::vector<std::string> expected = written(*model, options);
    EXPECT_EQ(written(*model, options, {.batch_tokens = 1}), expected) << "one by one";
    EXPECT_EQ(written(*model, options, {.batch_tokens = 60}), expected);
    std::vector<WritingRequest> reversed = some_requests();
    std::reverse(reversed.begin(), reversed.end());
    std::vector<std::string> again = written(*model, options, {}, reversed);
    std::reverse(again.begin(), again.end());
    EXPECT_EQ(again, expected);
  }
}

TEST(WriteAnswers, DrawByTheSeedAndTheRequestsName) {
  const auto model = testing::make_byte_model();
  GenerationOptions options = options_of(16, 1.5);
  const std::vector<std::string> first = written(*model, options);
  options.seed = 6;
  EXPECT_NE(written(*model, options), first);
  std::vector<WritingRequest> same = {{.id = "a", .prompt = {1, 2, 3}}, {.id = "b", .prompt = {1, 2, 3}}};
  const std::vector<std::string> two = written(*model, options, {}, same);
  EXPECT_NE(two[0], two[1]);
}

TEST(WriteAnswers, EndBeforeAStopText) {
  const auto model = testing::make_byte_model();
  const std::vector<std::string> whole = written(*model, options_of(20));
  GenerationOptions options = options_of(20);
  // A character of ASCII: bytes that are no text are shown as others.
  const auto ascii = std::find_if(whole[0].begin(), whole[0].end(), [](char c) { return c > 0; });
  ASSERT_NE(ascii, whole[0].end());
  options.stop = {std::string(1, *ascii)};
  const std::vector<std::string> cut = written(*model, options);
  for (std::size_t i = 0; i < cut.size(); ++i) EXPECT_EQ(cut[i], whole[i].substr(0, whole[i].find(options.stop[0])));
  EXPECT_LT(cut[0].size(), whole[0].size());
}

TEST(WriteAnswers, GoOnBehindWhatWasDone) {
  const testing::TemporaryFolder folder;
  const auto model = testing::make_byte_model();
  const std::vector<std::string> expected = written(*model, options_of(12), {.work_folder = folder.path()});
  // A model that writes other texts: what comes back was read, not written again.
  const auto other = testing::make_byte_model(1);
  EXPECT_EQ(written(*other, options_of(12), {.work_folder = folder.path()}), expected);
  EXPECT_NE(written(*other, options_of(11), {.work_folder = folder.path()}), expected) << "another pass";
}

TEST(WriteAnswers, StreamTheBlocks) {
  const auto resident = testing::make_byte_model();
  const auto streamed = testing::make_byte_model(0, 5, Model::Residency::kStreamed);
  EXPECT_EQ(written(*streamed, options_of(6)), written(*resident, options_of(6)));
}

}  // namespace
}  // namespace lowbit
