#include "lowbit/data/overlap.h"

#include <gmock/gmock.h>

namespace lowbit {
namespace {

Corpus corpus_of(std::vector<std::string> documents) {
  return {.dataset = "d", .split = "s", .documents = std::move(documents), .groups = {}, .separator = "\n", .hash = {}};
}

OverlapIndex index_of(std::size_t ngram, const std::vector<TestText>& texts) {
  OverlapIndex index(ngram);
  index.add("test", texts);
  return index;
}

TEST(OverlapIndex, FindsAnItemWhateverItsCaseSpacingAndPunctuation) {
  const OverlapIndex index = index_of(13, {{.text = "The cat sat on the mat."}});
  EXPECT_TRUE(index.find("the CAT  sat\non the mat").front().whole);
  EXPECT_FALSE(index.find("the cat sat on a mat").front().any());
  EXPECT_FALSE(index.find("the cat sat on the mat again").front().any()) << "shorter than a run, and not the whole";
}

TEST(OverlapIndex, FindsAQuestionWithItsAnswerOrWithout) {
  const OverlapIndex index =
      index_of(13, {{.text = "Q: how many legs has a cat? A: four", .question = "Q: how many legs has a cat? A:"}});
  EXPECT_TRUE(index.find("Q: how many legs has a cat? A: four").front().whole);
  EXPECT_TRUE(index.find("Q: how many legs has a cat? A:").front().whole);
  EXPECT_FALSE(index.find("Q: how many legs has a cat? A: five").front().any());
}

TEST(OverlapIndex, FindsARunOfWordsAnywhere) {
  const OverlapIndex index = index_of(4, {{.text = "one two three four five"}});
  EXPECT_TRUE(index.find("zero two three four five six").front().run);
  EXPECT_FALSE(index.find("zero two three four six").front().run) << "three words in a row";
  EXPECT_FALSE(index.find("five four three two one").front().run) << "another order";
}

TEST(OverlapIndex, TakesAChineseCharacterForAWord) {
  const OverlapIndex index = index_of(4, {{.text = "下列关于资本结构理论的说法"}});
  EXPECT_TRUE(index.find("关于资本的问题：资本结构").front().run);
  EXPECT_FALSE(index.find("资本，结论").front().run);
}

// Eleven items hold the run "a b c d": it is their template. Ten: it may be one text in ten questions.
TEST(OverlapIndex, PassesOverWordingThatManyItemsShare) {
  const auto items = [](int count) {
    std::vector<TestText> texts;
    for (int i = 0; i < count; ++i) texts.push_back({.text = "a b c d " + std::to_string(i)});
    return texts;
  };
  EXPECT_TRUE(index_of(4, items(10)).find("a b c d x").front().run);
  EXPECT_FALSE(index_of(4, items(11)).find("a b c d x").front().run);
}

TEST(OverlapIndex, TakesNoWholeItemOfFewWords) {
  EXPECT_FALSE(index_of(13, {{.text = "Early life and career"}}).find("Early life and career").front().any());
  EXPECT_TRUE(
      index_of(13, {{.text = "Early life and later career"}}).find("Early life and later career").front().whole);
}

TEST(OverlapCounts, AreKeptApartByTest) {
  OverlapIndex index(4);
  index.add("first", {{.text = "one two three four five"}});
  index.add("second", {{.text = "six seven eight nine ten"}});
  index.add("third", {{.text = "eleven twelve thirteen fourteen fifteen"}});
  const auto counts = count_overlaps(
      corpus_of({"one two three four five", "six seven eight nine", "one two three four", "nothing of all that"}),
      index);
  ASSERT_EQ(counts.size(), 2U);
  EXPECT_EQ(counts[0].test, "first");
  EXPECT_EQ(counts[0].whole, 1);
  EXPECT_EQ(counts[0].run, 1);
  EXPECT_EQ(counts[1].test, "second");
  EXPECT_EQ(counts[1].run, 1);
}

TEST(OverlapExclusion, LeavesTheOthersAndChangesTheHashOnlyThen) {
  const OverlapIndex index = index_of(4, {{.text = "one two three four five"}});
  Corpus corpus = corpus_of({"one two three four", "something else", "zero one two three four"});
  corpus.groups = {"a", "b", "c"};
  EXPECT_EQ(exclude_overlaps(corpus, index), 2);
  EXPECT_THAT(corpus.documents, ::testing::ElementsAre("something else"));
  EXPECT_THAT(corpus.groups, ::testing::ElementsAre("b"));
  EXPECT_NE(corpus.hash, Hash{});
  const Hash before = corpus.hash;
  EXPECT_EQ(exclude_overlaps(corpus, index), 0);
  EXPECT_EQ(corpus.hash, before);
}

}  // namespace
}  // namespace lowbit
