// Which steps may stand together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/model/architecture.h"
#include "lowbit/quantization/recipe.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;

struct NothingToSet {
  void visit(FieldVisitor&) {}
};

class FakeMap : public ExecutionStep {
 public:
  Kind kind() const override { return Kind::kInputMap; }
  std::shared_ptr<const LinearExecution> make(const LinearSlot&, const Statistics*) const override { return nullptr; }
  int version() const override { return 1; }
};

std::shared_ptr<const Recipe> decode(const std::string& yaml, ConfigProblems& problems) {
  QuantizationRegistries registries = builtin_quantization();
  registries.execution_steps.add<NothingToSet>("turn", "turns", "",
                                               [](const NothingToSet&) { return std::make_unique<FakeMap>(); });
  std::shared_ptr<const Recipe> recipe =
      Recipe::decode("test", ConfigNode::parse(yaml, "x.yaml"), registries, problems);
  Architecture architecture;
  architecture.layers = 2;
  if (recipe) recipe->check_layers(architecture, problems);
  return recipe;
}

std::string problem_of(const std::string& yaml) {
  ConfigProblems problems;
  (void)decode(yaml, problems);
  if (problems.empty()) return "";
  return testing::error_text(ErrorCode::kConfig, [&] { problems.throw_if_any(); });
}

TEST(RecipeChain, TakesTheChainsOfTheField) {
  for (const char* yaml :
       {"[{smoothquant: {alpha: 0.8}}, {rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]",
        "[{smoothquant: {}}, {gptq: {bits: 4}}, {activations: {bits: 8, per: tensor, range: mse}}]",
        "[{awq: {}}, {gptq: {bits: 4}}]", "[{awq: {}}, {rtn: {bits: 4}}, {activations: {bits: 8}}]",
        "[{rtn: {bits: 4}}, {activations: {bits: 4, per: group, group: 64}}]",
        "[{rtn: {bits: 8, group: -1}}, {llm_int8: {threshold: 6}}]",
        "[{rtn: {}}, {turn: {}}, {activations: {}, layers: ['*.mlp.*']}, {llm_int8: {}, except: ['*.mlp.*']}]"}) {
    EXPECT_EQ(problem_of(yaml), "") << yaml;
  }
}

TEST(RecipeChain, RefusesRoundedInputsWithoutASolver) {
  EXPECT_EQ(
      problem_of("[{activations: {}}]"),
      "x.yaml:1:3: 'activations' rounds the inputs of solved layers, and the recipe has no solver; add one, such as "
      "{rtn: {bits: 8}}");
  EXPECT_EQ(
      problem_of("[{rtn: {}, except: ['*.o_proj']}, {activations: {}}]"),
      "x.yaml:1:36: 'activations' rounds the input of 'model.layers.0.self_attn.o_proj', which no solver quantizes; "
      "leave that layer out with 'except', or give it a solver");
}

TEST(RecipeChain, SaysOfAWrongSolverOnlyWhatIsWrong) {
  EXPECT_EQ(problem_of("[{rtn: {bits: 99}}, {activations: {}}]").find("has no solver"), std::string::npos);
}

TEST(RecipeChain, RefusesToRoundOneInputTwice) {
  EXPECT_THAT(problem_of("[{rtn: {}}, {activations: {}}, {llm_int8: {}, layers: ['*.q_proj']}]"),
              HasSubstr("layer 'model.layers.0.self_attn.q_proj' is claimed by 'activations' and again by 'llm_int8'"));
}

TEST(RecipeChain, RefusesToMapAPartOfASharedInput) {
  EXPECT_EQ(problem_of("[{rtn: {}}, {turn: {}, layers: ['*.q_proj', '*.k_proj']}]"),
            "x.yaml:1:14: 'turn' maps the input of only one of 'model.layers.0.self_attn.q_proj' and "
            "'model.layers.0.self_attn.v_proj', which read the same one");
}

TEST(RecipeChain, RefusesRangeOptionsThatHaveNoMeaning) {
  EXPECT_THAT(problem_of("[{rtn: {}}, {activations: {range: mse}}]"),
              HasSubstr("have a meaning for 'per: tensor' only"));
  EXPECT_THAT(problem_of("[{rtn: {}}, {activations: {type: fp8, bits: 4}}]"), HasSubstr("'type: fp8' has 8 bits"));
  EXPECT_THAT(problem_of("[{rtn: {}}, {activations: {type: fp8, symmetry: asymmetric}}]"),
              HasSubstr("'type: fp8' has no zero point"));
}

TEST(RecipeChain, TellsItsStepsWithTheirNeeds) {
  ConfigProblems problems;
  const auto recipe = decode(
      "[{smoothquant: {}}, {gptq: {}, except: ['*.o_proj']}, {activations: {}, except: "
      "['*.o_proj']}]",
      problems);
  ASSERT_TRUE(recipe);
  ASSERT_EQ(recipe->steps().size(), 3U);
  EXPECT_EQ(recipe->steps()[0].family, "block step");
  EXPECT_TRUE(recipe->steps()[0].needs.channel_range);
  EXPECT_FALSE(recipe->steps()[0].by_layer);
  EXPECT_EQ(recipe->steps()[1].acts, "rounds weights");
  EXPECT_FALSE(recipe->steps()[1].patterns.claims("model.layers.0.self_attn.o_proj"));
  EXPECT_EQ(recipe->steps()[2].name, "activations");
  EXPECT_THAT(recipe->steps()[2].options.to_yaml(), HasSubstr("bits: 8"));
}

}  // namespace
}  // namespace lowbit
