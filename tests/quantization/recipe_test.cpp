#include "lowbit/quantization/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/model/architecture.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct NoOptions {
  void visit(FieldVisitor&) {}
};

class FakeBlockStep : public BlockStep {
 public:
  StatisticsNeeds needs() const override {
    StatisticsNeeds needs;
    needs.channel_range = true;
    needs.stream = Stream::kFloat;
    return needs;
  }
  std::vector<StatisticsEffect> apply(BlockContext&) override { return {}; }
  int version() const override { return 1; }
};

class FakeExecution : public ExecutionStep {
 public:
  std::shared_ptr<const LinearExecution> make(const LinearSlot&, const Statistics*) const override { return nullptr; }
  int version() const override { return 1; }
};

QuantizationRegistries registries() {
  QuantizationRegistries result;
  register_builtin_solvers(result.solvers);
  result.block_steps.add<NoOptions>("scaling", "scales", "",
                                    [](const NoOptions&) { return std::make_unique<FakeBlockStep>(); });
  result.execution_steps.add<NoOptions>("rounding", "rounds", "",
                                        [](const NoOptions&) { return std::make_unique<FakeExecution>(); });
  return result;
}

std::shared_ptr<const Recipe> decode(const std::string& yaml, ConfigProblems& problems) {
  return Recipe::decode("test", ConfigNode::parse(yaml, "x.yaml"), registries(), problems);
}

std::shared_ptr<const Recipe> decode(const std::string& yaml) {
  ConfigProblems problems;
  std::shared_ptr<const Recipe> recipe = decode(yaml, problems);
  problems.throw_if_any();
  return recipe;
}

Architecture small_llama() {
  Architecture architecture;
  architecture.layers = 2;
  return architecture;
}

std::string problem_of(const std::string& yaml) {
  ConfigProblems problems;
  const std::shared_ptr<const Recipe> recipe = decode(yaml, problems);
  if (recipe) recipe->check_layers(small_llama(), problems);
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  return "";
}

TEST(Recipe, GivesEachLayerItsSolver) {
  const auto recipe = decode(
      "[{gptq: {bits: 4, group: 64}, layers: ['*_proj'], except: ['model.layers.0.*'], overrides: [{layers: "
      "['*.down_proj'], bits: 8}]}]");
  EXPECT_EQ(recipe->solver("model.layers.0.mlp.up_proj"), nullptr);
  EXPECT_EQ(recipe->solver("model.layers.1.mlp.up_proj")->grid().bits, 4);
  EXPECT_EQ(recipe->solver("model.layers.1.mlp.down_proj")->grid().bits, 8);
  EXPECT_EQ(recipe->solver("model.layers.1.mlp.down_proj")->grid().group, 64);
}

TEST(Recipe, DividesLayersAmongSolvers) {
  const auto recipe = decode("[{rtn: {bits: 8}, layers: ['*.mlp.*']}, {rtn: {bits: 3}, except: ['*.mlp.*']}]");
  EXPECT_EQ(recipe->solver("model.layers.1.mlp.up_proj")->grid().bits, 8);
  EXPECT_EQ(recipe->solver("model.layers.1.self_attn.q_proj")->grid().bits, 3);
  ConfigProblems problems;
  recipe->check_layers(small_llama(), problems);
  EXPECT_TRUE(problems.empty());
}

TEST(Recipe, JoinsTheNeedsOfStepsByStream) {
  const auto recipe = decode("[{scaling: {}}, {gptq: {}}]");
  EXPECT_TRUE(recipe->needs(Stream::kFloat).channel_range);
  EXPECT_FALSE(recipe->needs(Stream::kFloat).hessian);
  EXPECT_TRUE(recipe->needs(Stream::kQuantized).hessian);
  EXPECT_TRUE(recipe->needs_calibration());
  EXPECT_FALSE(decode("[{rtn: {}}]")->needs_calibration());
  EXPECT_TRUE(decode("[{rtn: {}, overrides: [{layers: ['*'], bits: 3}]}, {rounding: {}}]")->needs(Stream::kFloat) ==
              StatisticsNeeds{});
}

TEST(Recipe, EchoesEveryDefaultAndDecodesItsEchoToTheSameHash) {
  const auto recipe = decode("[{gptq: {group: 64}, overrides: [{layers: ['*.down_proj'], bits: 8}]}]");
  const std::string yaml = recipe->resolved().to_yaml();
  EXPECT_THAT(yaml, HasSubstr("true_sequential: true"));
  EXPECT_THAT(yaml, HasSubstr("damping: 0.01"));
  EXPECT_THAT(yaml, HasSubstr("bits: 8"));
  const auto again = decode(yaml);
  EXPECT_EQ(again->hash(), recipe->hash());
  EXPECT_TRUE(again->resolved() == recipe->resolved());
}

TEST(Recipe, HashFollowsTheOptions) {
  const Hash hash = decode("[{rtn: {}}]")->hash();
  EXPECT_EQ(decode("[{rtn: {bits: 4}}]")->hash(), hash);
  EXPECT_NE(decode("[{rtn: {bits: 3}}]")->hash(), hash);
  EXPECT_NE(decode("[{rtn: {}, except: ['*.o_proj']}]")->hash(), hash);
  EXPECT_NE(decode("[{driver: {true_sequential: false}}, {rtn: {}}]")->hash(), hash);
}

TEST(Recipe, ReadsDriverOptions) {
  const auto recipe = decode("[{driver: {true_sequential: false, propagate_quantized: false}}, {gptq: {}}]");
  EXPECT_FALSE(recipe->driver().true_sequential);
  EXPECT_FALSE(recipe->driver().propagate_quantized);
}

TEST(Recipe, NamesTheNearestStep) {
  EXPECT_EQ(problem_of("[{gtpq: {}}]"), "x.yaml:1:3: unknown step 'gtpq'; did you mean 'gptq'?");
}

TEST(Recipe, NamesTheNearestOption) {
  EXPECT_EQ(problem_of("[{gptq: {act_oder: true}}]"), "x.yaml:1:10: unknown key 'act_oder'; did you mean 'act_order'?");
}

TEST(Recipe, NamesTheNearestOptionOfAnOverrideAtItsPlace) {
  EXPECT_EQ(problem_of("- rtn: {}\n  overrides: [{layers: ['*.down_proj'], bitts: 8}]\n"),
            "x.yaml:2:41: unknown key 'bitts'; did you mean 'bits'?");
}

TEST(Recipe, RefusesTwoNamesInOneStep) {
  EXPECT_EQ(problem_of("[{rtn: {}, excpt: ['*']}]"),
            "x.yaml:1:12: step 'rtn' has a second name 'excpt'; write one step an entry; did you mean 'except'?");
}

TEST(Recipe, RefusesContradictoryOrdersOfColumns) {
  EXPECT_EQ(problem_of("[{gptq: {act_order: true, act_group_aware: true}}]"),
            "x.yaml:1:9: 'act_order' and 'act_group_aware' are two orders of the same columns; give one of them");
  EXPECT_EQ(problem_of("[{gptq: {ref_compat: true, act_group_aware: true}}]"),
            "x.yaml:1:9: 'ref_compat' follows a program that has no 'act_group_aware'; give one of them");
  EXPECT_EQ(problem_of("[{gptq: {static_groups: true, group: -1}}]"),
            "x.yaml:1:9: 'static_groups' needs groups; give a positive 'group' or leave it out");
}

TEST(Recipe, RefusesTransformsBehindTheSolver) {
  EXPECT_EQ(problem_of("[{rtn: {}}, {scaling: {}}]"),
            "x.yaml:1:14: 'scaling' rewrites weights before they are rounded, but 'rtn' before it rounds weights; put "
            "'scaling' first");
}

TEST(Recipe, RefusesPatternsThatMatchNothing) {
  EXPECT_EQ(problem_of("[{rtn: {}, except: ['*.down_prj']}]"),
            "x.yaml:1:21: pattern '*.down_prj' matches no layer; did you mean '*.down_proj'?");
  EXPECT_EQ(
      problem_of("[{rtn: {}, layers: ['model.layers.7.*']}]"),
      "x.yaml:1:3: no layer is left for 'rtn'\nx.yaml:1:21: pattern 'model.layers.7.*' matches no layer; the model's "
      "layers are 'model.layers.0.self_attn.q_proj' to 'model.layers.1.mlp.down_proj'");
}

TEST(Recipe, RefusesOverridesOutsideTheStepsOwnLayers) {
  EXPECT_THAT(problem_of("[{rtn: {}, layers: ['*.q_proj'], overrides: [{layers: ['*.k_proj'], bits: 8}]}]"),
              HasSubstr("pattern '*.k_proj' matches no layer of this 'rtn' step"));
}

TEST(Recipe, RefusesLayersClaimedTwice) {
  EXPECT_EQ(problem_of("[{rtn: {}}, {gptq: {}, layers: ['*.q_proj']}]"),
            "x.yaml:1:14: layer 'model.layers.0.self_attn.q_proj' is claimed by 'rtn' and again by 'gptq'; divide the "
            "layers with 'layers' and 'except'");
}

TEST(Recipe, RefusesLayerPatternsWhereTheyHaveNoMeaning) {
  EXPECT_EQ(problem_of("[{scaling: {}, layers: ['*']}, {rtn: {}}]"),
            "x.yaml:1:24: 'layers' has no meaning for 'scaling', a block step");
}

TEST(Recipe, RefusesWhatIsNoListOfSteps) {
  EXPECT_EQ(problem_of("{rtn: {}}"), "x.yaml:1:1: recipe 'test' is a list of steps, such as [{rtn: {bits: 4}}]");
  EXPECT_EQ(problem_of("[]"), "x.yaml:1:1: recipe 'test' is a list of steps, such as [{rtn: {bits: 4}}]");
  EXPECT_EQ(problem_of("[rtn]"), "x.yaml:1:2: a step is a map with one name, such as {rtn: {bits: 4}}");
}

TEST(MatchesPattern, KnowsStarsAndQuestionMarks) {
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("*.q_proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(matches_pattern("model.layers.?.*", "model.layers.3.mlp"));
  EXPECT_TRUE(matches_pattern("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(matches_pattern("a*b*c", "aXbYbZ"));
  EXPECT_FALSE(matches_pattern("model.layers.?.*", "model.layers.13.mlp"));
  EXPECT_FALSE(matches_pattern("q_proj", "self_attn.q_proj"));
  EXPECT_FALSE(matches_pattern("", "a"));
}

TEST(LinearNames, FollowTheForwardPass) {
  Architecture architecture;
  architecture.layers = 1;
  EXPECT_THAT(
      linear_names(architecture),
      ElementsAre("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
                  "model.layers.0.self_attn.v_proj", "model.layers.0.self_attn.o_proj", "model.layers.0.mlp.gate_proj",
                  "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"));
}

}  // namespace
}  // namespace lowbit
