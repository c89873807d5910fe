#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/experiment/experiment.h"

namespace lowbit {
namespace {

std::vector<std::pair<std::string, ConfigNode>> expand(const std::string& yaml) {
  ConfigProblems problems;
  auto result = expand_sweeps(ConfigNode::parse(yaml, "x.yaml"), problems);
  problems.throw_if_any();
  return result;
}

TEST(Sweep, WithoutOneGivesTheTreeItselfWithoutLabel) {
  const auto all = expand("[{rtn: {bits: 4}}]");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].first, "");
  EXPECT_EQ(all[0].second, ConfigNode::parse("[{rtn: {bits: 4}}]", "y"));
}

TEST(Sweep, GivesEveryCombinationWithItsLabel) {
  const auto all = expand("[{rtn: {bits: {sweep: [4, 3]}, group: {sweep: [32, 64]}}}]");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].first, "bits=4,group=32");
  EXPECT_EQ(all[3].first, "bits=3,group=64");
  EXPECT_EQ(all[3].second, ConfigNode::parse("[{rtn: {bits: 3, group: 64}}]", "y"));
}

TEST(Sweep, RefusesAnEmptyList) {
  ConfigProblems problems;
  EXPECT_TRUE(expand_sweeps(ConfigNode::parse("{bits: {sweep: []}}", "x.yaml"), problems).empty());
  try {
    problems.throw_if_any();
    FAIL() << "expected a problem";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "x.yaml:1:16: 'sweep' needs a list of at least one value");
  }
}

TEST(Sweep, RefusesOneInsideAnother) {
  ConfigProblems problems;
  (void)expand_sweeps(ConfigNode::parse("{bits: {sweep: [4, {sweep: [3]}]}}", "x.yaml"), problems);
  EXPECT_FALSE(problems.empty());
}

TEST(Sweep, RefusesMoreCombinationsThanCanBeWrittenOut) {
  std::string yaml = "{";
  for (char key = 'a'; key <= 'p'; ++key) yaml += std::string(1, key) + ": {sweep: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}, ";
  ConfigProblems problems;
  EXPECT_TRUE(expand_sweeps(ConfigNode::parse(yaml + "}", "x.yaml"), problems).empty());
  try {
    problems.throw_if_any();
    FAIL() << "expected a problem";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "x.yaml:1:1: the sweeps in here make more than 4444 combinations");
  }
  EXPECT_EQ(expand("{a: {sweep: [1, 2, 3]}, b: {sweep: [1, 2]}}").size(), 6U);
}

}  // namespace
}  // namespace lowbit
