#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/quantization/recipe.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct NoOptions {
  void visit(FieldVisitor&) {}
};

class PluginStep : public BlockStep {
 public:
  std::vector<StatisticsEffect> apply(BlockContext&) override { return {}; }
  int version() const override { return 1; }
};

const char* const kRecipe = "[{theirs: {}}, {rtn: {bits: 4}}]";

std::shared_ptr<const Recipe> decode(const std::string& yaml, const ModuleOrigin& origin) {
  QuantizationRegistries registries = builtin_quantization();
  registries.block_steps.set_origin(origin);
  registries.block_steps.add<NoOptions>("theirs", "does nothing", "",
                                        [](const NoOptions&) { return std::make_unique<PluginStep>(); });
  ConfigProblems problems;
  auto recipe = Recipe::decode("test", ConfigNode::parse(yaml, "x.yaml"), registries, problems);
  problems.throw_if_any();
  return recipe;
}

TEST(RecipeOfPlugins, NamesThePluginsItsStepsComeFrom) {
  const ModuleOrigin plugin{"mine", "1.0", {1, 2}};
  EXPECT_THAT(decode("[{theirs: {}}, {theirs: {}}, {rtn: {bits: 4}}]", plugin)->plugins(), ElementsAre(plugin));
  EXPECT_THAT(decode("[{rtn: {bits: 4}}]", plugin)->plugins(), IsEmpty());
}

TEST(RecipeOfPlugins, HasAnotherHashWhenThePluginsFileIsAnother) {
  const Hash first = decode(kRecipe, {"mine", "1.0", {1, 2}})->hash();
  EXPECT_EQ(decode(kRecipe, {"mine", "1.0", {1, 2}})->hash(), first);
  EXPECT_NE(decode(kRecipe, {"mine", "1.0", {1, 3}})->hash(), first);
  EXPECT_NE(decode(kRecipe, {})->hash(), first);
}

TEST(RecipeOfPlugins, KeepsItsHashWhenItUsesNoneOfThem) {
  const char* const built_in = "[{rtn: {bits: 4}}]";
  EXPECT_EQ(decode(built_in, {"mine", "1.0", {1, 2}})->hash(), decode(built_in, {})->hash());
}

}  // namespace
}  // namespace lowbit
