#include "lowbit/calibration/calibration_set.h"

#include <gmock/gmock.h>

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
  for (const char* yaml : {"{dataset: a, samples: 4}", "{name: n, mix: [{dataset: a, weight: 0.1}, {dataset: b}]}"}) {
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

}  // namespace
}  // namespace lowbit
