#include <gmock/gmock.h>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/data/examples.h"
#include "lowbit/text/chat_template.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

class ShippedTasks : public ::testing::Test {
 protected:
  void SetUp() override {
    data_ = testing::shared_data("data");
    if (!data_) GTEST_SKIP() << "no data in the test data";
    catalog_.emplace(std::vector<fs::path>{testing::source_folder() / "datasets"}, std::vector<fs::path>{*data_});
  }
  [[nodiscard]] bool has(const DatasetDefinition& definition) const {
    const std::string first = definition.splits.begin()->second.files.front();
    return fs::exists(*data_ / fs::path(first).parent_path());
  }
  std::optional<fs::path> data_;
  std::optional<DatasetCatalog> catalog_;
};

TEST_F(ShippedTasks, UseEveryRowOfTheSharedData) {
  int tried = 0;
  for (const DatasetDefinition& definition : catalog_->all()) {
    if (definition.task == nullptr || !has(definition)) continue;
    ++tried;
    const ExampleSet set = catalog_->examples(definition, {});
    EXPECT_TRUE(set.problems.empty()) << definition.name << " " << set.problems.size() << " "
                                      << set.problems.front().where << ": " << set.problems.front().message;
    for (const Example& example : set.examples) {
      if (set.generation != nullptr) {
        ASSERT_FALSE(example.references.empty()) << example.where;
        continue;
      }
      const bool single = definition.name == "lambada" || definition.name == "humaneval";
      ASSERT_GE(example.choices.size(), single ? 1U : 2U) << example.where;
    }
  }
  EXPECT_GE(tried, 20);
}

// What is hashed is json.dumps([context, continuation], ensure_ascii=False), with XXH3 of 128 bits.
std::string escaped(const std::string& text) { return Json(text).dump(); }

void expect_prompts(const DatasetCatalog& catalog, const std::string& file, const ChatTemplate* chat = nullptr,
                    bool shots_as_turns = true) {
  const fs::path golden = testing::source_folder() / "tests/golden/data" / file;
  const Json tasks = parse_json(read_file(golden), golden.string());
  for (const auto& [name, task] : tasks.items()) {
    ExampleOptions options{
        .split = "", .shots = task["shots"].get<std::int64_t>(), .chat = chat, .shots_as_turns = shots_as_turns};
    if (const std::string group = task["group"].get<std::string>(); !group.empty()) options.groups = {group};
    const ExampleSet set = catalog.examples(catalog.find(task["dataset"].get<std::string>()), options);
    const Json& questions = task["pairs"];
    ASSERT_GE(set.examples.size(), questions.size()) << name;
    int differing = 0;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const Example& example = set.examples[i];
      const bool written = set.generation != nullptr;
      ASSERT_EQ(questions[i].size(), written ? 1U : example.choices.size()) << name << " " << example.where;
      for (std::size_t c = 0; c < questions[i].size(); ++c) {
        const std::string continuation = written ? "" : example.continuation(c);
        const std::string pair = "[" + escaped(example.context(c)) + ", " + escaped(continuation) + "]";
        if (hash_of(pair).hex() != questions[i][c].get<std::string>() && ++differing == 1) {
          ADD_FAILURE() << name << " " << example.where << " choice " << c << ": " << pair;
        }
      }
    }
    EXPECT_EQ(differing, 0) << name;
  }
}

TEST_F(ShippedTasks, AskAsTheFieldsHarnessAsks) { expect_prompts(*catalog_, "prompts.json"); }

ChatTemplate chatml() {
  const fs::path file = testing::source_folder() / "tests/golden/text/chat/chatml.jinja";
  return {read_file(file), {}, file.string()};
}

TEST_F(ShippedTasks, AskInConversationsAsTheFieldsHarnessAsks) {
  const ChatTemplate chat = chatml();
  expect_prompts(*catalog_, "chat_prompts.json", &chat, false);
}

TEST_F(ShippedTasks, ShowShotsAsTurnsAsTheFieldsHarnessDoes) {
  const ChatTemplate chat = chatml();
  expect_prompts(*catalog_, "chat_turns.json", &chat);
}

}  // namespace
}  // namespace lowbit
