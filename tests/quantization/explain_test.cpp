#include "lowbit/quantization/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantization/small_run.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string explained(const std::string& yaml) {
  Architecture architecture;
  architecture.layers = 3;
  return explain_recipe(*testing::recipe_of(yaml, builtin_quantization()), architecture);
}

TEST(ExplainRecipe, SaysWhatEachStepDoesToWhichLayers) {
  const std::string text = explained(
      "[{smoothquant: {alpha: 0.7}}, {gptq: {bits: 4, group: 64}, except: ['*.down_proj', 'model.layers.0.*.q_proj'], "
      "overrides: [{layers: ['*.o_proj'], bits: 8}]}, {activations: {bits: 8}, layers: ['*.o_proj']}]");
  EXPECT_THAT(text, HasSubstr("1. smoothquant (block step): moves a part of the inputs' spread into the weights\n"
                              "   does     rewrites weights before they are rounded\n"
                              "   options  alpha 0.7, groups [attention_input, mlp_input], run_time false\n"
                              "   reads    ranges of channels of the float stream's inputs\n"));
  EXPECT_THAT(text, HasSubstr("   layers   17 of 21 linears: self_attn.k_proj, self_attn.v_proj, self_attn.o_proj, "
                              "mlp.gate_proj, mlp.up_proj, self_attn.q_proj in 2 of 3 blocks\n"));
  EXPECT_THAT(text, HasSubstr("   grids    int4 g64 asymmetric (14), int8 g64 asymmetric (3)\n"));
  EXPECT_THAT(text, HasSubstr("3. activations (execution step)"));
  EXPECT_THAT(text, HasSubstr("   layers   3 of 21 linears: self_attn.o_proj\n"));
  EXPECT_THAT(text, HasSubstr("left in float: self_attn.q_proj (1), mlp.down_proj (3)\n"));
  EXPECT_THAT(text, HasSubstr("needs calibration data\n"));
  EXPECT_THAT(text, HasSubstr("later blocks see the outputs of the quantized blocks before them\n"));
}

TEST(ExplainRecipe, SaysWhenNoDataAreNeeded) {
  const std::string text = explained("[{rtn: {bits: 8, group: -1}}, {activations: {}}]");
  EXPECT_THAT(text, HasSubstr("   layers   all 21 linears\n"));
  EXPECT_THAT(text, HasSubstr("needs no data\n"));
  EXPECT_THAT(text, Not(HasSubstr("left in float: ")));
}

}  // namespace
}  // namespace lowbit
