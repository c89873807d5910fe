#include "quantization/kv_cache/steps.h"

#include <gmock/gmock.h>

#include "lowbit/model/decoder.h"
#include "lowbit/quantization/explain.h"
#include "lowbit/tensor/ops.h"
#include "quantization/kv_cache/cache_cases.h"
#include "quantization/small_run.h"
#include "support/attended_alike.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
using testing::recipe_of;
using testing::SmallRun;

std::string problem_of(const std::string& yaml) {
  return error_text(ErrorCode::kConfig, [&] { (void)recipe_of(yaml, builtin_quantization()); });
}

// Of a recipe that is right by itself, on the small model with heads of 8 channels.
std::string problem_on_model(const SmallRun& run, const std::string& yaml) {
  return error_text(ErrorCode::kConfig, [&] {
    ConfigProblems problems;
    recipe_of(yaml, run.registries)->check_layers(run.model().architecture(), problems);
    problems.throw_if_any();
  });
}

TEST(KvCacheSteps, RefuseWhatCannotBe) {
  EXPECT_THAT(problem_of("[{kivi: {bits: 1}}]"), HasSubstr("x.yaml:1:16: 'bits' is 1, expected 2..8"));
  EXPECT_THAT(problem_of("[{kv_cache: {bits: 9}}]"), HasSubstr("'bits' is 9, expected 2..8"));
  EXPECT_THAT(problem_of("[{kivi: {group: 32, window: 40}}]"),
              HasSubstr("'window' is 40, expected a multiple of 'group', 32, since keys are rounded in whole groups"));
  EXPECT_THAT(problem_of("[{kv_cache: {group: 0}}]"),
              HasSubstr("'group' is 0, expected 1 or more, or -1 for all channels of a head"));
  EXPECT_THAT(
      problem_of("[{kv_cache: {per: channel, group: -1}}]"),
      HasSubstr("'group: -1' has no meaning for 'per: channel', where a group is of tokens; give their number"));
  EXPECT_THAT(problem_of("[{kv_cache: {}}, {kivi: {}}]"),
              HasSubstr("'kivi' is a second KV cache step; a recipe has one"));
  EXPECT_THAT(problem_of("[{kivi: {}, layers: ['*.k_proj']}]"),
              HasSubstr("'layers' has no meaning for 'kivi', a KV cache step"));
  EXPECT_THAT(problem_of("[{kivi: {}}, {rtn: {}}]"),
              HasSubstr("'rtn' rounds weights, but 'kivi' before it runs in the attention of solved blocks; put 'rtn' "
                        "first"));
}

TEST(KvCacheSteps, RefuseGroupsWiderThanTheModelsHeads) {
  const SmallRun run;
  EXPECT_THAT(
      problem_on_model(run, "[{rtn: {group: 16}}, {kivi: {group: 32}}]"),
      HasSubstr("x.yaml:1:23: 'kivi' gives 32 channels of a token a scale, the model's heads have 8; set 'group' "
                "to 8 or less"));
  ConfigProblems problems;
  recipe_of("[{kv_cache: {per: channel, group: 32}}]", run.registries)
      ->check_layers(run.model().architecture(), problems);
  EXPECT_EQ(problems.size(), 0U);
}

TEST(KvCacheSteps, SayWhatTheyKeep) {
  const SmallRun run;
  const auto text = [&](const std::string& yaml) {
    return explain_recipe(*recipe_of(yaml, run.registries), run.model().architecture());
  };
  const std::string kivi = text("[{rtn: {group: 16}}, {kivi: {group: 8, window: 16}}]");
  EXPECT_THAT(kivi, HasSubstr("2. kivi (KV cache step): keeps keys rounded per channel and values per token"));
  EXPECT_THAT(kivi,
              HasSubstr("   keeps    keys int2 asymmetric, 8 tokens of a channel to a scale, rounded in blocks of "
                        "16 tokens (6.00 bits a number); values int2 asymmetric, 8 channels of a token to a scale, "
                        "the last 16 tokens as they are (6.00 bits)\n"));
  EXPECT_THAT(
      text("[{kv_cache: {bits: 4, group: -1, symmetric: true}}]"),
      HasSubstr("keys int4 symmetric, all channels of a token's head to a scale (6.00 bits a number); values int4"));
}

// What an artifact keeps makes the same cache as the recipe did.
TEST(KvCacheSteps, AreKeptByArtifacts) {
  const SmallRun run;
  for (const std::string step : {"{kivi: {bits: 2, group: 8, window: 8, scale: bfloat16}}",
                                 "{kv_cache: {bits: 3, per: channel, group: 4, symmetric: true, window: 2}}"}) {
    const std::string yaml = "[{rtn: {group: 16}}, " + step + "]";
    const std::string folder = step.substr(1, 4);
    (void)run.quantize(yaml, folder);
    const auto model =
        Model::make(run.artifact(folder), nullptr, {}, Model::Residency::kResident, runtime_readers(run.registries));
    const auto kept = model->make_kv_cache(1);
    const auto made = recipe_of(yaml, run.registries)->kv_cache()->make(model->architecture(), 1);
    const testing::Tokens tokens(testing::normal({2, 4, 30, 8}, "q"), testing::normal({2, 4, 30, 8}, "k"),
                                 testing::normal({2, 4, 30, 8}, "v"));
    EXPECT_TRUE(testing::decode(*kept, tokens, 11).equal(testing::decode(*made, tokens, 11)));
    EXPECT_EQ(kept->bytes(), made->bytes());
    EXPECT_LT(kept->bytes(), 2 * 2 * 4 * 30 * 8 * 4);
  }
}

// A prompt, then token by token: on plain memory, where the rounder replaces what lies there, and by blocks. bfloat16
// holds the model's embedding and norms, so that float32 logits of what blocks give are expected there.
void expect_rounding_elsewhere(const SmallRun& run, const std::string& folder, DType dtype) {
  constexpr std::int64_t kTokens = 30;
  const auto open = [&](DType type) {
    ComputeOptions options;
    options.dtype = type;
    options.execution = Execution::kPacked;
    return Model::make(run.artifact(folder), nullptr, options, Model::Residency::kResident,
                       runtime_readers(run.registries));
  };
  const auto model = open(dtype);
  const auto wide = open(DType::kFloat32);
  const at::Tensor all = make_arange(3 * kTokens, DType::kInt64).remainder(20).view({3, kTokens});
  const NoGradScope no_grad;
  for (const std::int64_t prompt : {1, 9, 17}) {
    Decoder decoder(*model, 3, kTokens);
    ASSERT_EQ(decoder.detour(), "");
    std::vector<std::unique_ptr<KvCachePolicy>> caches;
    for (std::int64_t i = 0; i < 2; ++i) caches.push_back(model->make_kv_cache(i));
    for (std::int64_t token = 0; token < kTokens; token = token == 0 ? prompt : token + 1) {
      const at::Tensor part = all.narrow(1, token, token == 0 ? prompt : 1);
      at::Tensor hidden = model->embed(part);
      std::int64_t bytes = 0;
      for (std::int64_t i = 0; i < 2; ++i) {
        const auto& cache = caches[static_cast<std::size_t>(i)];
        hidden = model->block(i)->forward(hidden, model->rope(kTokens), cache.get());
        bytes += cache->bytes();
      }
      const at::Tensor last = to_dtype(hidden.narrow(1, part.size(1) - 1, 1), DType::kFloat32);
      const at::Tensor expected = wide->logits(last).select(1, 0);
      // A key that differs in its last bit may be rounded to the next code.
      ASSERT_TRUE(testing::attended_alike(decoder.read(part, {}), expected, 0.1)) << folder << ", token " << token;
      // What is not rounded to codes lies as float32 in a decoder.
      if (dtype != DType::kFloat32) continue;
      ASSERT_EQ(decoder.cache_bytes(), bytes) << folder << ", token " << token;
    }
  }
}

TEST(KvCacheSteps, RoundWhatADecoderKeepsElsewhere) {
  const SmallRun run;
  int artifacts = 0;
  for (const std::string step : {"{kivi: {bits: 2, group: 8, window: 8}}", "{kv_cache: {bits: 4, group: -1}}",
                                 "{kv_cache: {bits: 3, per: channel, group: 4, symmetric: true, window: 2}}"}) {
    const std::string folder = fmt::format("{}", ++artifacts);
    (void)run.quantize("[{rtn: {group: 16}}, " + step + "]", folder);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) expect_rounding_elsewhere(run, folder, dtype);
  }
}

TEST(KvCacheSteps, NeedNoSolver) {
  const SmallRun run;
  const QuantizeReport report = run.quantize("[{kv_cache: {bits: 4, group: 8}}]", "out");
  EXPECT_EQ(report.size.quantized_weights, 0);
  const auto model =
      Model::make(run.artifact("out"), nullptr, {}, Model::Residency::kResident, runtime_readers(run.registries));
  EXPECT_EQ(model->weights().kv_cache()->name, "kv_cache");
  const at::Tensor x = run.model().embed(make_arange(20, DType::kInt64).unsqueeze(0));
  EXPECT_TRUE(model->run(x).equal(run.model().run(x)));
}

TEST(KvCacheSteps, OfDamagedArtifactsAreRefused) {
  const RuntimeReaders readers = runtime_readers(builtin_quantization());
  EXPECT_THAT(error_text(ErrorCode::kData,
                         [&] {
                           (void)readers.kv_cache({"kivi", ConfigNode::parse("{bits: 40}", "config.json"), {}});
                         }),
              HasSubstr("settings of 'kivi': config.json:1:8: 'bits' is 40, expected 2..8"));
}

}  // namespace
}  // namespace lowbit
