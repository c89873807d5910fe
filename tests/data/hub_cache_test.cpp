#include "data/hub_cache.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "lowbit/base/files.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HubSplit : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::setenv("HF_HOME", folder_.path().c_str(), 1), 0);
    for (const char* name : {"HF_HUB_CACHE", "HF_DATASETS_CACHE"}) ASSERT_EQ(::unsetenv(name), 0);
  }
  void TearDown() override { ::unsetenv("HF_HOME"); }

  void have(const std::string& file) const {
    make_folders((folder_ / file).parent_path());
    write_file_atomically(folder_ / file, "");
  }
  /// A file of the snapshot `commit` of some/sums.
  void have_in(const std::string& commit, const std::string& file) const {
    have("hub/datasets--some--sums/snapshots/" + commit + "/" + file);
  }
  /// What is found, below the snapshot or the cache's folder.
  static std::vector<std::string> found(const std::string& config, const std::string& split,
                                        const std::string& revision = "") {
    DatasetDefinition::Source source;
    source.hub = "some/sums";
    source.config = config;
    source.revision = revision;
    std::vector<std::string> names;
    for (const DataFile& file : find_hub_split(source, split)) {
      EXPECT_TRUE(file.path.string().ends_with(file.name)) << file.path;
      EXPECT_TRUE(file.hub_layout);
      names.push_back(file.group.empty() ? file.name : file.group + " " + file.name);
    }
    return names;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(HubSplit, IsFoundByTheHubsOwnNames) {
  have_in("a", "regular/train-00000-of-00002.parquet");
  have_in("a", "regular/train-00001-of-00002.parquet");
  have_in("a", "regular/test-00000-of-00001-9d6a9f4fbb0a9d81.parquet");
  have_in("a", "regular/test_matched-00000-of-00001.parquet");
  have_in("a", "regular/README.md");
  EXPECT_THAT(found("regular", "train"),
              ElementsAre("regular/train-00000-of-00002.parquet", "regular/train-00001-of-00002.parquet"));
  EXPECT_THAT(found("regular", "test"), ElementsAre("regular/test-00000-of-00001-9d6a9f4fbb0a9d81.parquet"));
  EXPECT_THAT(found("regular", "test_matched"), ElementsAre("regular/test_matched-00000-of-00001.parquet"));
  EXPECT_THAT(found("regular", "matched"), IsEmpty());
  EXPECT_THAT(found("full", "train"), IsEmpty());
}

TEST_F(HubSplit, IsFoundInTheBranchOfConvertedFiles) {
  have_in("a", "plain_text/test/0000.parquet");
  have_in("a", "plain_text/test/0001.parquet");
  have_in("a", "plain_text/test/index.duckdb");
  have_in("a", "older/sums-test.parquet");
  have_in("a", "older/sums-train-00000-of-00002.parquet");
  have_in("a", "older/sums-train-00001-of-00002.parquet");
  EXPECT_THAT(found("plain_text", "test"), ElementsAre("plain_text/test/0000.parquet", "plain_text/test/0001.parquet"));
  EXPECT_THAT(found("older", "test"), ElementsAre("older/sums-test.parquet"));
  EXPECT_THAT(found("older", "train"),
              ElementsAre("older/sums-train-00000-of-00002.parquet", "older/sums-train-00001-of-00002.parquet"));
}

TEST_F(HubSplit, LiesInDataOrAtTheTopWhereThereIsOneConfigOnly) {
  have_in("a", "test.jsonl");
  EXPECT_THAT(found("default", "test"), ElementsAre("test.jsonl"));
  have_in("a", "data/test-00000-of-00001.parquet");
  EXPECT_THAT(found("default", "test"), ElementsAre("data/test-00000-of-00001.parquet"));
  EXPECT_THAT(found("main", "test"), IsEmpty());
}

TEST_F(HubSplit, IsNoneWhereAPartIsMissing) {
  have_in("a", "regular/train-00000-of-00003.parquet");
  have_in("a", "regular/train-00002-of-00003.parquet");
  have_in("a", "plain_text/test/0001.parquet");
  EXPECT_THAT(found("regular", "train"), IsEmpty());
  EXPECT_THAT(found("plain_text", "test"), IsEmpty());
  have_in("b", "plain_text/test/0000.parquet");  // a whole one in another snapshot
  EXPECT_THAT(found("plain_text", "test"), ElementsAre("plain_text/test/0000.parquet"));
}

TEST_F(HubSplit, IsThatOfTheMainBranchOrOfTheRevision) {
  have_in("a", "regular/test-00000-of-00001.parquet");
  have_in("b", "regular/test/0000.parquet");
  EXPECT_THAT(found("regular", "test"), ElementsAre("regular/test-00000-of-00001.parquet"));
  make_folders(folder_ / "hub/datasets--some--sums/refs");
  write_file_atomically(folder_ / "hub/datasets--some--sums/refs/main", "b");
  EXPECT_THAT(found("regular", "test"), ElementsAre("regular/test/0000.parquet"));
  EXPECT_THAT(found("regular", "test", "a"), ElementsAre("regular/test-00000-of-00001.parquet"));
}

TEST_F(HubSplit, HasAGroupForEachConfig) {
  for (const char* config : {"law", "anatomy", "all", "All"}) {
    have_in("a", std::string(config) + "/test-00000-of-00001.parquet");
  }
  have_in("a", "auxiliary/train-00000-of-00001.parquet");
  EXPECT_THAT(found("*", "test"),
              ElementsAre("anatomy anatomy/test-00000-of-00001.parquet", "law law/test-00000-of-00001.parquet"));
}

TEST_F(HubSplit, IsFoundWhereThePackageDatasetsKeepsIt) {
  have("datasets/some___sums/regular/0.0.0/1c3/sums-test.arrow");
  have("datasets/some___sums/regular/0.0.0/1c3.incomplete/sums-train.arrow");
  have("datasets/some___sums/regular/0.0.0/1c3_builder.lock");
  have("datasets/some___sums/large/0.0.0/1c3/sums-test-00000-of-00002.arrow");
  have("datasets/some___sums/large/0.0.0/1c3/sums-test-00001-of-00002.arrow");
  EXPECT_THAT(found("regular", "test"), ElementsAre("regular/0.0.0/1c3/sums-test.arrow"));
  EXPECT_THAT(found("regular", "train"), IsEmpty());
  EXPECT_THAT(found("large", "test"), ElementsAre("large/0.0.0/1c3/sums-test-00000-of-00002.arrow",
                                                  "large/0.0.0/1c3/sums-test-00001-of-00002.arrow"));
  EXPECT_THAT(found("*", "test"), ElementsAre("large large/0.0.0/1c3/sums-test-00000-of-00002.arrow",
                                              "large large/0.0.0/1c3/sums-test-00001-of-00002.arrow",
                                              "regular regular/0.0.0/1c3/sums-test.arrow"));
}

TEST_F(HubSplit, IsFoundUnderTheNamesThatThePackageDatasetsMakes) {
  DatasetDefinition::Source source;
  source.hub = "Some/PubMedQA";
  source.config = "labeled";
  have("datasets/Some___pub_med_qa/labeled/0.0.0/1c3/pub_med_qa-train.arrow");
  ASSERT_EQ(find_hub_split(source, "train").size(), 1U);
  EXPECT_EQ(datasets_cache_folder("a/SVAMP").filename(), "a___svamp");
  EXPECT_EQ(datasets_cache_folder("nyu-mll/BLiMP").filename(), "nyu-mll___b_li_mp");
  EXPECT_EQ(datasets_cache_folder("ai2_arc").filename(), "ai2_arc");
}

TEST_F(HubSplit, MayLieUnderAnOlderNameOrInACopy) {
  DatasetDefinition::Source source;
  source.hub = "some/sums";
  source.config = "default";
  source.also = {"sums", "else/sums:plain_text"};
  const auto place = [&] {
    const std::vector<DataFile> files = find_hub_split(source, "test");
    return files.empty() ? "" : files.front().path.lexically_relative(folder_.path()).string();
  };
  EXPECT_EQ(place(), "");
  have("hub/datasets--else--sums/snapshots/a/default/test/0000.parquet");
  EXPECT_EQ(place(), "") << "its config is another";
  have("hub/datasets--else--sums/snapshots/a/plain_text/test/0000.parquet");
  EXPECT_EQ(place(), "hub/datasets--else--sums/snapshots/a/plain_text/test/0000.parquet");
  have("datasets/sums/default/1.0.0/1c3/sums-test.arrow");
  EXPECT_EQ(place(), "datasets/sums/default/1.0.0/1c3/sums-test.arrow") << "the first that is named";
  have_in("a", "data/test-00000-of-00001.parquet");
  EXPECT_EQ(place(), "hub/datasets--some--sums/snapshots/a/data/test-00000-of-00001.parquet");
}

TEST_F(HubSplit, IsNotLookedForWithoutAConfig) {
  have_in("a", "default/test-00000-of-00001.parquet");
  EXPECT_THAT(found("", "test"), IsEmpty());
}

}  // namespace
}  // namespace lowbit
