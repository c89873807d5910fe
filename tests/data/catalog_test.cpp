#include <gmock/gmock.h>

#include <cstdlib>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/data/dataset.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DatasetCatalogTest : public ::testing::Test {
 protected:
  DatasetCatalogTest() : catalog_({folder_ / "datasets", folder_ / "absent"}, {folder_ / "near", folder_ / "far"}) {
    for (const char* name : {"datasets", "near", "far"}) make_folders(folder_ / name);
    define("tale",
           "summary: a tale\nlicence: none\nremedy: write one\nreader: lines\nseparator: \" \"\n"
           "splits: {train: {files: [tale.txt], to: 0.5}, test: {files: [tale.txt], from: 0.5}}\n");
  }
  void define(const std::string& name, const std::string& yaml) const { write("datasets/" + name + ".yaml", yaml); }
  void write(const std::string& file, const std::string& text) const { write_file_atomically(folder_ / file, text); }
  Corpus load(const std::string& name, const std::string& split) const {
    return catalog_.load(catalog_.find(name), split);
  }
  template <typename Action>
  static std::string error_of(ErrorCode code, Action&& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "no error";
  }

  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
};

TEST_F(DatasetCatalogTest, SplitsByShareOfTheDocuments) {
  write("far/tale.txt", "a\nb\nc\nd\ne\n");
  EXPECT_THAT(load("tale", "train").documents, ElementsAre("a", "b"));
  EXPECT_THAT(load("tale", "test").documents, ElementsAre("c", "d", "e"));
  EXPECT_EQ(load("tale", "test").joined(), "c d e");
  EXPECT_EQ(load("tale", "test").bytes(), 5U);
}

TEST_F(DatasetCatalogTest, TakesTheFirstDataFolderThatHasTheFile) {
  write("far/tale.txt", "a\nb\n");
  write("near/tale.txt", "x\ny\n");
  EXPECT_THAT(load("tale", "train").documents, ElementsAre("x"));
}

// Digests by sha256sum.
TEST_F(DatasetCatalogTest, ReadsOnlyTheFileOfTheChecksum) {
  const std::string sum = "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2";
  define("sealed",
         "summary: s\nlicence: l\nremedy: fetch it again\nreader: lines\n"
         "splits: {test: {files: [sealed.txt], sha256: [" +
             sum + "]}}\n");
  write("near/sealed.txt", "a\nb\n");
  EXPECT_THAT(load("sealed", "test").documents, ElementsAre("a", "b"));
  write("near/sealed.txt", "a\nc\n");
  EXPECT_THAT(error_of(ErrorCode::kData, [&] { (void)load("sealed", "test"); }),
              HasSubstr("near/sealed.txt' has the SHA-256 "
                        "b72cf6d7918130f75347ff0f8b6e9fde004ee6d7fc26af90a349707207f72750, expected " +
                        sum + ": it is damaged, or another version; fetch it again"));
}

TEST_F(DatasetCatalogTest, RefusesChecksumsThatFitNoFile) {
  const auto error = [&](const std::string& split) {
    define("sealed", "summary: s\nlicence: l\nreader: lines\nsplits: {test: {" + split + "}}\n");
    return error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("sealed"); });
  };
  const std::string sum(64, 'a');
  EXPECT_THAT(error("files: [a.txt], sha256: [A1]"),
              HasSubstr("sha256 'A1' must be 64 hexadecimal digits in lower case, as sha256sum prints"));
  EXPECT_THAT(error("files: [a.txt, b.txt], sha256: [" + sum + "]"),
              HasSubstr("1 sha256 for 2 files; tell one for each, in their order"));
  EXPECT_THAT(error("files: ['a/*.txt'], sha256: [" + sum + "]"),
              HasSubstr("'sha256' belongs to files that are named whole, without '*'"));
}

TEST_F(DatasetCatalogTest, LimitsTheDocumentsBeforeItShares) {
  define("short",
         "summary: s\nlicence: l\nreader: lines\nsplits: {test: {files: [a.txt, b.txt], documents: 3, from: 0.5}}\n");
  write("near/a.txt", "1\n2\n");
  write("near/b.txt", "3\n4\n");
  EXPECT_THAT(load("short", "test").documents, ElementsAre("2", "3"));
}

TEST_F(DatasetCatalogTest, HashesDocumentsSeparatorAndVersion) {
  write("near/tale.txt", "a\nb\n");
  const Hash first = load("tale", "train").hash;
  EXPECT_EQ(load("tale", "train").hash, first);
  EXPECT_NE(load("tale", "test").hash, first);
  DatasetDefinition next = catalog_.find("tale");
  next.version = 2;
  EXPECT_NE(catalog_.load(next, "train").hash, first);
  next.version = 1;
  next.separator = "\n";
  EXPECT_NE(catalog_.load(next, "train").hash, first);
}

TEST_F(DatasetCatalogTest, NamesFoldersAndRemedyOfAMissingFile) {
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { (void)load("tale", "test"); }),
            "dataset 'tale': file 'tale.txt' is missing; searched in '" + (folder_ / "near").string() + "', '" +
                (folder_ / "far").string() + "', '" + (folder_ / "datasets").string() + "'; write one");
}

TEST_F(DatasetCatalogTest, NamesTheSplitsItHas) {
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { (void)load("tale", "dev"); }),
            "dataset 'tale' has no split 'dev'; it has 'test', 'train'");
}

TEST_F(DatasetCatalogTest, RefusesASplitWithoutText) {
  write("near/tale.txt", "\n\n\n");
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { (void)load("tale", "test"); }),
            "dataset 'tale': split 'test' has no text in 'tale.txt'; write one");
}

TEST_F(DatasetCatalogTest, SaysHowATextFileIsSplitWhenAShareIsEmpty) {
  write("one.txt", "a single paragraph\n");
  const std::string file = (folder_ / "one.txt").string();
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { (void)catalog_.load(catalog_.find(file), "train"); }),
            "dataset 'one': split 'train' has no text in '" + file +
                "'; of a text file's paragraphs, which blank lines separate, the first 80 % are 'train' and the rest "
                "'test'");
}

TEST_F(DatasetCatalogTest, SuggestsTheNearestName) {
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("tael"); }),
            "unknown dataset 'tael'; did you mean 'tale'?");
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("texts/none.txt"); }),
            "dataset 'texts/none.txt': no such file, expected a definition (.yaml) or a text file");
}

TEST_F(DatasetCatalogTest, ReadsATextFileByItsPath) {
  write("mine.txt", "a\n\nb\n\nc\n\nd\n\ne\n");
  const std::string path = (folder_ / "mine.txt").string();
  EXPECT_EQ(catalog_.find(path).name, "mine");
  EXPECT_THAT(load(path, "train").documents, ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(load(path, "test").documents, ElementsAre("e"));
}

TEST_F(DatasetCatalogTest, ReadsADefinitionByItsPathAndFilesBesideIt) {
  write("own.yaml", "summary: s\nlicence: l\nsplits: {test: {files: [own.txt]}}\n");
  write("own.txt", "a\n\nb");
  EXPECT_THAT(load((folder_ / "own.yaml").string(), "test").documents, ElementsAre("a\n\nb"));
}

TEST_F(DatasetCatalogTest, ReportsEveryProblemOfADefinition) {
  define("bad", "licence: l\nseperator: y\nsplits: {test: {files: [a.txt]}}\n");
  const std::string keys = error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); });
  EXPECT_THAT(keys, HasSubstr("bad.yaml:2:1: unknown key 'seperator'; did you mean 'separator'?"));
  EXPECT_THAT(keys, HasSubstr("'summary'"));
  define("bad",
         "summary: s\nlicence: l\nreader: lines\ndelimiter: x\n"
         "splits: {test: {files: [../a.txt, /b.txt]}, mid: {files: [a], from: 0.5, to: 0.5}, train: {from: 2}}\n");
  const std::string values = error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); });
  EXPECT_THAT(values, HasSubstr("'delimiter' belongs to 'reader: delimited', which needs it"));
  EXPECT_THAT(values, HasSubstr("file '../a.txt' must be relative to a data folder and stay inside it"));
  EXPECT_THAT(values, HasSubstr("file '/b.txt' must be relative"));
  EXPECT_THAT(values, HasSubstr("a split from 0.5 to 0.5 has no documents"));
  EXPECT_THAT(values, HasSubstr("bad.yaml:5:"));
  EXPECT_THAT(values, HasSubstr("'from'"));
  EXPECT_THAT(values, HasSubstr("'files'"));
}

TEST_F(DatasetCatalogTest, ReadsTablesByRowsOnly) {
  define("bad",
         "summary: s\nlicence: l\nreader: text\nsplits: {test: {files: [a.jsonl], hub_files: [data/a.parquet]}}\n");
  EXPECT_THAT(
      error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); }),
      HasSubstr("file 'data/a.parquet' is a table, whose rows are read as JSON lines: it needs 'reader: jsonl'"));
}

TEST_F(DatasetCatalogTest, NamesTheHubsPartsByTheirDataset) {
  define("bad",
         "summary: s\nlicence: l\nreader: jsonl\nsource: {config: main}\nsplits: {test: {files: [a.jsonl]}}\n"
         "task: {split: test, hub_columns: [a], choices: [a, b], gold: '0'}\n");
  const std::string problems = error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); });
  EXPECT_THAT(problems, HasSubstr("'config' is a part of a dataset of the hub, which 'hub' names"));
  EXPECT_THAT(problems, HasSubstr("'hub_columns' must be a map of templates, or of lists of them"));
  define("bad",
         "summary: s\nlicence: l\nsource: {hub: a/b}\nsplits: {test: {files: [a.txt], hub_split: validation}}\n");
  EXPECT_THAT(error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); }),
              HasSubstr("'hub_split' is a split of the source's 'config', which is missing"));
  define("bad",
         "summary: s\nlicence: l\nsource: {hub: a/b, config: ../x}\n"
         "splits: {test: {files: [a.txt], hub_split: /etc}}\n");
  const std::string outside = error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); });
  EXPECT_THAT(outside, HasSubstr("config '../x' must be the name of a folder"));
  EXPECT_THAT(outside, HasSubstr("split '/etc' must be the name of a folder"));
  define("bad",
         "summary: s\nlicence: l\nsource: {hub: a/b, config: x, also: [/etc, 'c/d:../x'], revision: e}\n"
         "splits: {test: {files: [a.txt]}}\n");
  const std::string others = error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); });
  EXPECT_THAT(others, HasSubstr("hub dataset '/etc' must be a name such as ehovy/race"));
  EXPECT_THAT(others, HasSubstr("config '../x' must be the name of a folder"));
  EXPECT_THAT(others, HasSubstr("'also' and 'revision' exclude each other: a commit is one of 'hub' only"));
  define("bad", "summary: s\nlicence: l\nsource: {hub: a/b, also: [c/d]}\nsplits: {test: {files: [a.txt]}}\n");
  EXPECT_THAT(error_of(ErrorCode::kConfig, [&] { (void)catalog_.find("bad"); }),
              HasSubstr("'also' names other datasets of the hub whose splits are found by 'config', which is missing"));
}

// A snapshot of the hub in its local cache, where files may have names of their own.
class HubCacheTest : public DatasetCatalogTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1), 0);
    make_folders(folder_ / kSnapshot / "data");
    define("sums",
           "summary: s\nlicence: l\nremedy: fetch it\nreader: jsonl\nsource: {hub: some/sums}\n"
           "splits: {test: {files: [sums/test.jsonl], hub_files: [data/one.jsonl, data/two.jsonl]}}\n");
  }
  void TearDown() override { ::unsetenv("HF_HUB_CACHE"); }
  static constexpr const char* kSnapshot = "hub/datasets--some--sums/snapshots/abc";
  void write_snapshot(const std::string& file, const std::string& text) const {
    write(std::string(kSnapshot) + "/" + file, "{\"text\": \"" + text + "\"}\n");
  }
};

TEST_F(HubCacheTest, KnowsTheNamesThatTheHubGives) {
  write_snapshot("data/one.jsonl", "a");
  write_snapshot("data/two.jsonl", "b");
  EXPECT_THAT(load("sums", "test").documents, ElementsAre("a", "b"));
  write_snapshot("test.jsonl", "c");  // without its first folder; the hub's own names go first
  EXPECT_THAT(load("sums", "test").documents, ElementsAre("a", "b"));
  make_folders(folder_ / "near/sums");
  write("near/sums/test.jsonl", "{\"text\": \"d\"}\n");
  EXPECT_THAT(load("sums", "test").documents, ElementsAre("d"));
}

TEST_F(HubCacheTest, TakesAllOrNoneOfThem) {
  write_snapshot("data/one.jsonl", "a");
  EXPECT_THAT(error_of(ErrorCode::kData, [&] { (void)load("sums", "test"); }),
              HasSubstr("file 'sums/test.jsonl' is missing; searched in "));
  write_snapshot("test.jsonl", "c");
  EXPECT_THAT(load("sums", "test").documents, ElementsAre("c"));
}

TEST(BuiltinDatasets, AreValidAndSayWhatTheyAre) {
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {});
  const std::vector<DatasetDefinition> all = catalog.all();
  EXPECT_GE(all.size(), 10U);
  for (const DatasetDefinition& definition : all) {
    if (definition.task == nullptr) {  // a text calibrates and is scored
      EXPECT_TRUE(definition.splits.contains("test")) << definition.name;
      EXPECT_TRUE(definition.splits.contains("train")) << definition.name;
    } else {
      EXPECT_FALSE(definition.scenario.empty()) << definition.name;
    }
    EXPECT_FALSE(definition.remedy.empty()) << definition.name;
    EXPECT_FALSE(definition.domain.empty()) << definition.name;
  }
}

TEST(BuiltinDatasets, ReadTheSharedData) {
  const auto data = testing::shared_data("data");
  if (!data) GTEST_SKIP() << "no data in the test data";
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {*data});
  const auto documents = [&](const char* name, const char* split) {
    return catalog.load(catalog.find(name), split).documents.size();
  };
  EXPECT_EQ(documents("wikitext2", "test"), 4358U);
  EXPECT_EQ(documents("wikitext2", "validation"), 3760U);
  EXPECT_EQ(documents("wikitext2-pages", "test"), 62U);
  EXPECT_EQ(documents("wikitext2-raw", "test"), 1U);
  EXPECT_EQ(documents("c4-sample", "train"), 500U);
  EXPECT_EQ(documents("c4-sample", "test"), 500U);
  EXPECT_EQ(documents("tinystories", "train") + documents("tinystories", "test"), 2317U);  // 2316 separators
  EXPECT_GT(documents("tinyshakespeare", "test"), 1000U);
}

}  // namespace
}  // namespace lowbit
