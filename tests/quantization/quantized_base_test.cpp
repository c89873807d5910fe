// An artifact may be quantized again: what acts while it runs stays with it, or the recipe is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "quantization/small_run.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
using testing::SmallRun;

std::shared_ptr<const WeightSource> quantize_again(const SmallRun& run, const std::string& base,
                                                   const std::string& recipe, const std::string& output) {
  QuantizeRequest request = run.request(recipe, output);
  request.model = Model::make(run.artifact(base), std::make_unique<testing::NoTokenizer>(), {},
                              Model::Residency::kResident, runtime_readers(run.registries));
  (void)quantize(request, *silent_progress(), Cancellation());
  return run.artifact(output);
}

TEST(QuantizedBase, KeepsItsRoundedKvCacheUnlessTheRecipeHasOne) {
  const SmallRun run;
  (void)run.quantize("[{rtn: {bits: 8, group: -1}}, {kv_cache: {bits: 4, group: 4}}]", "cached");
  const auto kept = quantize_again(run, "cached", "[{rtn: {bits: 4, group: 16}}]", "kept");
  ASSERT_TRUE(kept->kv_cache());
  EXPECT_EQ(kept->kv_cache()->settings.to_yaml(), run.artifact("cached")->kv_cache()->settings.to_yaml());
  const auto behind_a_transform =
      quantize_again(run, "cached", "[{head: {bits: 8, group: 4}}, {rtn: {bits: 4, group: 16}}]", "head");
  EXPECT_TRUE(behind_a_transform->kv_cache());
  const auto replaced =
      quantize_again(run, "cached", "[{rtn: {bits: 4, group: 16}}, {kv_cache: {bits: 8, group: 4}}]", "replaced");
  EXPECT_THAT(replaced->kv_cache()->settings.to_yaml(), HasSubstr("bits: 8"));
}

TEST(QuantizedBase, RefusesTransformsOfWeightsThatSomethingRunsAround) {
  const SmallRun run;
  (void)run.quantize("[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]", "rounded");
  EXPECT_THAT(error_text(ErrorCode::kUnsupported,
                         [&] { quantize_again(run, "rounded", "[{quarot: {}}, {rtn: {bits: 4, group: 16}}]", "x"); }),
              HasSubstr("'activations' runs around the product of 'model.layers.0.self_attn.q_proj', and a model "
                        "transform of recipe 'test' would rewrite the weight under it"));
}

}  // namespace
}  // namespace lowbit
