#include "lowbit/calibration/calibration_set.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/data/dataset.h"
#include "support/byte_tokenizer.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CalibrationOptions decoded(const std::string& yaml) {
  ConfigProblems problems;
  CalibrationOptions options = decode_calibration(ConfigNode::parse(yaml, "x.yaml"), problems);
  problems.throw_if_any();
  return options;
}

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string config_error(const std::string& yaml) {
  return error_of([&] { (void)decoded(yaml); });
}

TEST(CalibrationOptions, ReadsOneDatasetOrAMix) {
  const CalibrationOptions one = decoded("{dataset: a, samples: 4, length: 16}");
  EXPECT_EQ(one.name, "a");
  ASSERT_EQ(one.parts.size(), 1U);
  EXPECT_EQ(one.parts[0].split, "train");
  EXPECT_EQ(one.samples, 4);
  EXPECT_EQ(one.length, 16);
  const CalibrationOptions mix = decoded("{mix: [{dataset: a, weight: 3}, {dataset: b, split: dev}]}");
  EXPECT_EQ(mix.name, "a+b");
  ASSERT_EQ(mix.parts.size(), 2U);
  EXPECT_EQ(decoded("{dataset: texts/mine.txt}").name, "mine");
  EXPECT_EQ(mix.parts[0].weight, 3.0);
  EXPECT_EQ(mix.parts[1].split, "dev");
}

TEST(CalibrationOptions, EchoesWhatItReadsBack) {
  for (const char* yaml :
       {"{dataset: a, samples: 4}", "{name: n, mix: [{dataset: a, weight: 0.1}, {dataset: b}]}",
        "{mix: [{dataset: a, count: 3, groups: [x, y]}, {dataset: b, count: 2, form: packed, answers: false}]}",
        "{dataset: a, form: examples, balanced: true, pick: first, order: length}"}) {
    const ConfigNode echo = echo_calibration(decoded(yaml));
    EXPECT_EQ(echo_calibration(decoded(echo.to_yaml())), echo) << echo.to_yaml();
  }
}

TEST(CalibrationOptions, NamesEachMistake) {
  EXPECT_EQ(config_error("{samples: 4}"), "x.yaml:1:1: a calibration set needs either 'dataset' or 'mix'");
  EXPECT_THAT(config_error("{dataset: a, mix: [{dataset: b}]}"), HasSubstr("either 'dataset' or 'mix'"));
  EXPECT_THAT(config_error("{dataset: a, lenght: 5}"), HasSubstr("unknown key 'lenght'; did you mean 'length'?"));
  EXPECT_THAT(config_error("{dataset: a, samples: 0}"), HasSubstr("'samples'"));
  EXPECT_THAT(config_error("{split: x, mix: [{dataset: b}]}"), HasSubstr("'split' belongs to each part of 'mix'"));
  EXPECT_THAT(config_error("{mix: []}"), HasSubstr("'mix' must be a list"));
  EXPECT_THAT(config_error("{mix: [{dataset: a, weight: 0}]}"),
              HasSubstr("'weight' of 'a' must be more than 0, got 0"));
  EXPECT_THAT(config_error("{mix: [{dataset: a}, {dataset: a}]}"),
              HasSubstr("'a' (train) is in the mix already; give it once, with its whole weight"));
  EXPECT_THAT(config_error("{mix: [{dataset: a, groups: [x]}, {dataset: a, groups: [x]}]}"),
              HasSubstr("'a' (train, x) is in the mix already"));
  EXPECT_THAT(config_error("{mix: [{dataset: a, count: 3}, {dataset: b}]}"),
              HasSubstr("'b' (train) has no 'count'; give one to every part of the mix, or to none"));
  EXPECT_THAT(config_error("{mix: [{dataset: a, count: 3, weight: 2}]}"),
              HasSubstr("'a' (train) has both 'count' and 'weight'; give one of them"));
  EXPECT_THAT(config_error("{samples: 4, mix: [{dataset: a, count: 3}, {dataset: b, count: 2}]}"),
              HasSubstr("the counts of the mix make 5 sequences, 'samples' is 4; leave it out"));
  EXPECT_THAT(config_error("{form: packed, mix: [{dataset: b}]}"), HasSubstr("'form' belongs to each part of 'mix'"));
  EXPECT_THAT(config_error("{dataset: a, balanced: true}"),
              HasSubstr("'balanced' of 'a' needs 'form: packed' or 'form: examples'"));
  EXPECT_THAT(config_error("{dataset: a, form: example}"), HasSubstr("did you mean 'examples'?"));
  EXPECT_THAT(config_error("{samples: 4, mix: [{dataset: a}, {dataset: b, weight: 0.01}]}"),
              HasSubstr("'b' would give none of 4 samples; raise its weight or 'samples'"));
}

// Quotas 10 * (5, 3, 1)/9 = 5.56, 3.33, 1.11: floors 5, 3, 1, and the one left goes to the largest remainder.
TEST(CalibrationOptions, SharesSamplesByLargestRemainder) {
  CalibrationOptions options;
  options.samples = 10;
  options.parts = {{"a", "train", 5}, {"b", "train", 3}, {"c", "train", 1}};
  EXPECT_THAT(samples_of_parts(options), ElementsAre(6, 3, 1));
  options.parts = {{"a", "train", 1}, {"b", "train", 1}, {"c", "train", 1}};
  EXPECT_THAT(samples_of_parts(options), ElementsAre(4, 3, 3));
}

TEST(CalibrationOptions, TakesCountsInPlaceOfWeights) {
  const CalibrationOptions options = decoded("{mix: [{dataset: a, count: 3}, {dataset: a, groups: [x], count: 2}]}");
  EXPECT_EQ(options.samples, 5);
  EXPECT_THAT(samples_of_parts(options), ElementsAre(3, 2));
}

class CalibrationDraw : public ::testing::Test {
 protected:
  // Two texts in alphabets of their own, so that a sequence shows where it comes from; the digits make places unique.
  CalibrationDraw() : catalog_({}, {}) {
    std::string upper;
    std::string lower;
    for (int i = 0; i < 100; ++i) {
      upper += fmt::format("A{:03}", i);
      lower += fmt::format("b{:03}", i);
    }
    // The first 80 % of five paragraphs are four.
    write_file_atomically(folder_ / "upper.txt", upper + "\n\nA\n\nA\n\nA\n\nA");
    write_file_atomically(folder_ / "lower.txt", lower + "\n\nb\n\nb\n\nb\n\nb");
  }
  CalibrationSet draw(std::int64_t samples, std::int64_t length, std::uint64_t seed) const {
    return draw_calibration(decoded(fmt::format("{{mix: [{{dataset: {0}/upper.txt}}, {{dataset: {0}/lower.txt}}], "
                                                "samples: {1}, length: {2}}}",
                                                folder_.path().string(), samples, length)),
                            catalog_, tokenizer_, seed);
  }
  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
  testing::ByteTokenizer tokenizer_;
};

TEST_F(CalibrationDraw, IsAFunctionOfTheSeed) {
  const CalibrationSet first = draw(10, 16, 1);
  EXPECT_EQ(first.sequences, draw(10, 16, 1).sequences);
  EXPECT_EQ(first.hash, draw(10, 16, 1).hash);
  EXPECT_NE(first.hash, draw(10, 16, 2).hash);
  EXPECT_EQ(first.tokens(), 160);
}

TEST_F(CalibrationDraw, TakesEachPartsShareInMixedOrder) {
  const CalibrationSet set = draw(10, 16, 1);
  std::string sources;
  for (const auto& ids : set.sequences) {
    EXPECT_EQ(ids.size(), 16U);
    sources += tokenizer_.decode(ids, false).find('A') != std::string::npos ? 'A' : 'b';
  }
  EXPECT_EQ(std::count(sources.begin(), sources.end(), 'A'), 5);
  EXPECT_NE(sources, "AAAAAbbbbb");
}

TEST_F(CalibrationDraw, TakesNoTokenTwice) {
  const CalibrationSet set = draw(20, 36, 7);
  std::set<std::string> seen;
  for (const auto& ids : set.sequences) {
    const std::string text = tokenizer_.decode(ids, false);
    for (std::size_t i = text.find_first_of("Ab"); i + 4 <= text.size(); i += 4) {
      const std::string word = text.substr(i, 4);
      if (word.find('\n') == std::string::npos) {
        EXPECT_TRUE(seen.insert(word).second) << word;
      } else {
        break;
      }
    }
  }
}

TEST_F(CalibrationDraw, OverlapsOnlyWhenTheTextIsTooShort) {
  const CalibrationSet set = draw(20, 300, 7);
  EXPECT_EQ(set.sequences.size(), 20U);
  for (const auto& ids : set.sequences) EXPECT_EQ(ids.size(), 300U);
}

TEST_F(CalibrationDraw, SaysHowManyTokensATextHasAndNeeds) {
  EXPECT_EQ(error_of([&] { (void)draw(2, 500, 1); }), "calibration: split 'train' of dataset '" +
                                                          (folder_ / "upper.txt").string() +
                                                          "' has 409 tokens, a sequence needs 500; lower 'length'");
}

// A task of two subjects: 6 questions about sums and 3 about letters, the n-th of n + 1 words and an answer.
class CalibrationExamples : public ::testing::Test {
 protected:
  CalibrationExamples() : catalog_({folder_.path()}, {folder_.path()}) {
    std::string sums;
    std::string letters;
    for (int i = 0; i < 6; ++i)
      sums += fmt::format(R"({{"q":"sum {0}{1}","a":"s{0}"}})", i, std::string(i, '+')) + "\n";
    for (int i = 0; i < 3; ++i) letters += fmt::format(R"({{"q":"letter {0}","a":"l{0}"}})", i) + "\n";
    make_folders(folder_ / "t");
    write_file_atomically(folder_ / "t/sums.jsonl", sums);
    write_file_atomically(folder_ / "t/letters.jsonl", letters);
    write_file_atomically(
        folder_ / "tasks.yaml",
        "summary: s\nlicence: l\nreader: jsonl\nsplits: {train: {files: ['t/*.jsonl']}, test: {files: "
        "['t/*.jsonl']}}\ntask: {split: test, context: '{q}?', choices: ['{a}', no], gold: '0', "
        "description: 'Answer.'}\n");
  }
  CalibrationSet draw(const std::string& options, std::uint64_t seed = 0,
                      const OverlapIndex* excluded = nullptr) const {
    return draw_calibration(decoded("{dataset: tasks, " + options + "}"), catalog_, tokenizer_, seed, excluded);
  }
  std::vector<std::string> texts(const CalibrationSet& set) const {
    std::vector<std::string> texts;
    for (const auto& ids : set.sequences) texts.push_back(tokenizer_.decode(ids, false));
    return texts;
  }
  std::string draw_error(const std::string& options) const {
    return error_of([&] { (void)draw(options); });
  }
  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
  testing::ByteTokenizer tokenizer_;
};

TEST_F(CalibrationExamples, OfOneReadingAreThoseOfARereading) {
  OverlapIndex index(5);
  index.add("test", {{.text = "sum 3+++? s3"}});
  const std::string options = "form: examples, groups: [sums], samples: 3, length: 32";
  const CalibrationTexts texts = calibration_texts(decoded("{dataset: tasks, " + options + "}"), catalog_, &index);
  for (const std::uint64_t seed : {0, 1, 2}) {
    const CalibrationSet set = draw_calibration(texts, tokenizer_, seed);
    const CalibrationSet reread = draw(options, seed, &index);
    EXPECT_EQ(set.hash, reread.hash);
    EXPECT_EQ(set.parts.front().documents, 6);
    EXPECT_EQ(set.parts.front().excluded, reread.parts.front().excluded);
  }
}

TEST_F(CalibrationExamples, AreQuestionsWithTheirAnswersOrWithout) {
  EXPECT_THAT(texts(draw("form: examples, pick: first, order: drawn, groups: [letters], samples: 2, length: 32")),
              ElementsAre("letter 0? l0", "letter 1? l1"));
  EXPECT_THAT(
      texts(
          draw("form: examples, answers: false, pick: first, order: drawn, groups: [letters], samples: 2, length: 32")),
      ElementsAre("letter 0?", "letter 1?"));
}

TEST_F(CalibrationExamples, AreTurnsOfTheModelsChatTemplate) {
  write_file_atomically(folder_ / "chat_template.jinja",
                        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
                        "{% if add_generation_prompt %}<assistant>{% endif %}");
  tokenizer_.set_origin(folder_.path());
  const std::string options = "chat: true, pick: first, order: drawn, groups: [letters], ";
  EXPECT_THAT(texts(draw(options + "form: examples, samples: 2, length: 64")),
              ElementsAre("<user>letter 0?\n<assistant>l0\n", "<user>letter 1?\n<assistant>l1\n"));
  EXPECT_THAT(texts(draw(options + "form: examples, answers: false, samples: 1, length: 64")),
              ElementsAre("<user>letter 0?\n<assistant>"));
  EXPECT_THAT(texts(draw(options + "form: packed, samples: 1, length: 36")),
              ElementsAre("<user>letter 0?\n<assistant>l0\n<user>"));
}

TEST_F(CalibrationExamples, AreTheSameInTurnsAndWithout) {
  write_file_atomically(folder_ / "chat_template.jinja", "{{ messages[0].content ~ ' ' ~ messages[1].content }}");
  tokenizer_.set_origin(folder_.path());
  const std::string options = "form: examples, order: drawn, samples: 4, length: 64";
  EXPECT_EQ(texts(draw(options + ", chat: true", 3)), texts(draw(options, 3)));
}

TEST_F(CalibrationExamples, HaveTurnsOnlyWhereThereAreAny) {
  EXPECT_THAT(draw_error("form: examples, chat: true, samples: 1, length: 64"),
              HasSubstr("the tokenizer belongs to no model, so that there is no chat template"));
  tokenizer_.set_origin(folder_.path());
  EXPECT_THAT(draw_error("form: examples, chat: true, samples: 1, length: 64"), HasSubstr("has no chat template"));
  EXPECT_THAT(config_error("{dataset: a, chat: true}"),
              HasSubstr("'chat' of 'a' needs 'form: packed' or 'form: examples': windows of the joined text have no"));
  write_file_atomically(folder_ / "chat_template.jinja", "x");
  write_file_atomically(folder_ / "plain.txt", "one\n\ntwo\n\nthree\n\nfour\n\nfive");
  const std::string plain = (folder_ / "plain.txt").string();
  EXPECT_THAT(error_of([&] {
                (void)draw_calibration(
                    decoded("{dataset: " + plain + ", form: examples, chat: true, samples: 1, length: 8}"), catalog_,
                    tokenizer_, 0);
              }),
              HasSubstr("is plain text, so 'chat' has no meaning: it has no turns"));
}

TEST_F(CalibrationExamples, AreDrawnOnceEachByTheSeed) {
  const CalibrationSet set = draw("form: examples, samples: 9, length: 32", 1);
  EXPECT_EQ(std::set<std::vector<TokenId>>(set.sequences.begin(), set.sequences.end()).size(), 9U);
  EXPECT_EQ(set.hash, draw("form: examples, samples: 9, length: 32", 1).hash);
  EXPECT_NE(set.hash, draw("form: examples, samples: 9, length: 32", 2).hash);
  EXPECT_NE(texts(draw("form: examples, samples: 4, order: drawn, length: 32", 1)),
            texts(draw("form: examples, samples: 4, order: drawn, length: 32", 2)));
}

// Four of 9, balanced: two of each subject, though sums are twice as many; five: one subject gives three, by the seed.
TEST_F(CalibrationExamples, TakeAsManyOfEachSubjectWhenBalanced) {
  std::set<std::pair<std::int64_t, std::int64_t>> shares;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::map<char, std::int64_t> of_four, of_five;
    for (const auto& text : texts(draw("form: examples, balanced: true, samples: 4, length: 32", seed)))
      ++of_four[text[0]];
    for (const auto& text : texts(draw("form: examples, balanced: true, samples: 5, length: 32", seed)))
      ++of_five[text[0]];
    EXPECT_EQ(of_four['s'], 2);
    shares.emplace(of_five['s'], of_five['l']);
  }
  EXPECT_THAT(shares, ElementsAre(std::pair(2, 3), std::pair(3, 2)));
}

TEST_F(CalibrationExamples, LoseTheirBeginningWhenTheyAreTooLong) {
  const CalibrationSet set =
      draw("form: examples, pick: first, order: drawn, groups: [letters], samples: 1, length: 5");
  EXPECT_THAT(texts(set), ElementsAre("0? l0"));
  EXPECT_EQ(set.parts.front().truncated, 1);
  EXPECT_EQ(set.parts.front().truncated_tokens, 7);
}

TEST_F(CalibrationExamples, AreCutIntoFullSequencesWhenPacked) {
  const CalibrationSet set = draw("form: packed, pick: first, order: drawn, groups: [letters], samples: 2, length: 10");
  EXPECT_THAT(texts(set), ElementsAre("letter 0? ", "l0\n\nletter"));
  EXPECT_EQ(set.parts.front().used, 2);
}

TEST_F(CalibrationExamples, ComeSortedByLengthWhenAsked) {
  const CalibrationSet set = draw("form: examples, groups: [sums], order: length, samples: 6, length: 32");
  for (std::size_t i = 1; i < set.sequences.size(); ++i) {
    EXPECT_GT(set.sequences[i - 1].size(), set.sequences[i].size());
  }
  EXPECT_EQ(set.longest(), static_cast<std::int64_t>(set.sequences.front().size()));
}

TEST_F(CalibrationExamples, LeaveOutWhatIsScored) {
  OverlapIndex scored(13);
  scored.add("test", {{.text = "a test of letter 1? l1 in it"}, {.text = "x y letter 0? l0"}});
  OverlapIndex short_runs(3);
  short_runs.add("test", {{.text = "a test of letter 1? l1 in it"}, {.text = "x y letter 0? l0"}});
  const std::string options = "form: examples, pick: first, order: drawn, groups: [letters], samples: 1, length: 32";
  EXPECT_EQ(draw(options, 0, &scored).parts.front().excluded, 0);
  const CalibrationSet set = draw(options, 0, &short_runs);
  EXPECT_THAT(texts(set), ElementsAre("letter 2? l2"));
  EXPECT_EQ(set.parts.front().excluded, 2);
  EXPECT_EQ(set.parts.front().documents, 3);
}

TEST_F(CalibrationExamples, SayWhatIsMissing) {
  EXPECT_EQ(
      draw_error("form: examples, samples: 10"),
      "calibration: split 'train' of dataset 'tasks' has 9 documents with text, 10 are asked for; lower 'samples'");
  EXPECT_THAT(
      draw_error("form: packed, groups: [letters], samples: 9, length: 100"),
      HasSubstr("the 3 documents of split 'train' of dataset 'tasks' make 42 tokens, 9 sequences of 100 need 900; "
                "lower 'samples' or 'length'"));
  EXPECT_THAT(draw_error("pick: first, samples: 9, length: 100"),
              HasSubstr("9 sequences of 100 need 900; lower 'samples' or 'length'"));
  EXPECT_THAT(draw_error("groups: [leters], samples: 1, length: 8"),
              HasSubstr("dataset 'tasks' has no group 'leters'; did you mean 'letters'?"));
  write_file_atomically(folder_ / "plain.txt", "one\n\ntwo\n\nthree\n\nfour\n\nfive");
  const auto plain_error = [&](const std::string& more) {
    return error_of([&] {
      (void)draw_calibration(
          decoded("{dataset: " + (folder_ / "plain.txt").string() + ", samples: 1, length: 8" + more + "}"), catalog_,
          tokenizer_, 0);
    });
  };
  EXPECT_THAT(plain_error(", groups: [x]"), HasSubstr("is plain text: it has no groups"));
  EXPECT_THAT(plain_error(", answers: false"), HasSubstr("is plain text: it has no answers to leave out"));
  EXPECT_THAT(plain_error(", form: packed, balanced: true"), HasSubstr("has no groups, so 'balanced' has no meaning"));
}

}  // namespace
}  // namespace lowbit
