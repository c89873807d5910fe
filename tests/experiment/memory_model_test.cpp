#include "experiment/memory_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

namespace lowbit {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kBaseline = 200 * kMiB;
constexpr EvaluationLoad kLoad{.tokens = 1 << 17};

Architecture shape(std::int64_t layers) {
  Architecture a;
  a.hidden = 1024;
  a.intermediate = 2816;
  a.layers = layers;
  a.heads = a.kv_heads = 16;
  a.head_dim = 64;
  a.vocabulary = 8192;
  a.context = 2048;
  return a;
}

MemoryModel model(std::int64_t layers, MemoryMode mode = MemoryMode::kAuto) {
  ComputeConfig compute;
  compute.memory = mode;
  return {shape(layers), compute, kBaseline};
}

std::shared_ptr<const Recipe> recipe(const std::string& yaml) {
  static const QuantizationRegistries registries = builtin_quantization();
  ConfigProblems problems;
  auto result = Recipe::decode("test", ConfigNode::parse(yaml, "x.yaml"), registries, problems);
  problems.throw_if_any();
  return result;
}

TEST(MemoryModel, OfAStreamedModelDoesNotGrowWithItsBlocks) {
  const MemoryPlacement streamed{.streamed = true};
  EXPECT_EQ(model(8).evaluation(kLoad, streamed).bytes(), model(64).evaluation(kLoad, streamed).bytes());
  EXPECT_LT(model(8).evaluation(kLoad, {}).bytes(), model(64).evaluation(kLoad, {}).bytes());
  for (const char* yaml : {"[{rtn: {bits: 4}}]", "[{gptq: {bits: 4}}]"}) {
    const QuantizationLoad load{.tokens = 8192, .longest = 512};
    EXPECT_EQ(model(8).quantization(*recipe(yaml), load, streamed).bytes(),
              model(64).quantization(*recipe(yaml), load, streamed).bytes());
  }
}

// Keys and values of 16 heads of 64 channels: as kept, laid out in both forms, and on their way; 4 bytes each.
TEST(MemoryModel, CountsTheCacheOfOneLayerThatTokensAreReadFrom) {
  EvaluationLoad cached = kLoad;
  cached.cached = true;
  EXPECT_EQ(model(8).evaluation(cached, {}).bytes() - model(8).evaluation(kLoad, {}).bytes(),
            ComputeConfig().batch_tokens * 2 * 16 * 64 * 4 * 4);
}

TEST(MemoryModel, NamesEveryByteOfItsPeak) {
  const MemoryPeak peak = model(8).evaluation(kLoad, {});
  EXPECT_EQ(peak.phase, "blocks");
  EXPECT_EQ(peak.bytes(), std::accumulate(peak.terms.begin(), peak.terms.end(), std::int64_t{0},
                                          [](std::int64_t sum, const auto& term) { return sum + term.second; }));
  // 8 blocks of 4 x 1024^2 + 3 x 1024 x 2816 weights and 2 x 1024 of the norms, in float32.
  const std::int64_t blocks = std::int64_t{8} * (4 * 1024 * 1024 + 3 * 1024 * 2816 + 2 * 1024) * 4;
  EXPECT_NE(std::find(peak.terms.begin(), peak.terms.end(), std::pair(std::string("blocks"), blocks)),
            peak.terms.end());
}

std::int64_t term(const MemoryPeak& peak, const std::string& name) {
  const auto found = std::find_if(peak.terms.begin(), peak.terms.end(), [&](const auto& t) { return t.first == name; });
  return found == peak.terms.end() ? 0 : found->second;
}

// Of a vocabulary that leaves all else behind: rows of 256 positions, 4 bytes a logit, 2 in bfloat16, and 16 bytes for
// each 64 logits of 1024 rows.
TEST(MemoryModel, CountsRowsOfLogitsWhereTheyAreHeldWhole) {
  Architecture wide = shape(1);
  wide.hidden = wide.intermediate = 64;
  wide.heads = wide.kv_heads = 1;
  wide.vocabulary = 262144;
  const std::int64_t numbers = 256 * wide.vocabulary;
  const std::int64_t parts = 1024 * wide.vocabulary / 64 * 16;
  const auto logits = [&](DType type, bool compared) {
    ComputeConfig compute;
    compute.dtype = type;
    const EvaluationLoad load{.tokens = 512, .compared = compared};
    const MemoryPeak peak = MemoryModel(wide, compute, kBaseline).evaluation(load, {.streamed = true});
    EXPECT_EQ(peak.phase, "logits");
    return term(peak, "logits");
  };
  EXPECT_EQ(logits(DType::kFloat32, false), parts + 4 * kMiB);
  EXPECT_EQ(logits(DType::kFloat32, true), parts + 8 * numbers);
  EXPECT_EQ(logits(DType::kBFloat16, false), parts + 6 * numbers);
  EXPECT_EQ(logits(DType::kBFloat16, true), parts + 10 * numbers);
}

// An embedding of float32, and beside it the head's codes of 8 bits with a scale of 2 bytes and a zero of one for 64,
// or the head decoded.
TEST(MemoryModel, CountsTheHeadThatARecipeUntiesAndRounds) {
  Architecture tied = shape(2);
  tied.tied_head = true;
  tied.vocabulary = 262144;
  const std::int64_t elements = tied.vocabulary * tied.hidden;
  const auto rounded = recipe("[{head: {}}, {rtn: {bits: 4, group: 64}}]");
  const MemoryModel model(tied, ComputeConfig(), kBaseline);
  const auto tables = [&](const EvaluationLoad& load) {
    return term(model.evaluation(load, {}), "embedding and head");
  };
  EXPECT_EQ(tables({.tokens = 512}), 4 * elements);
  EXPECT_EQ(tables({.tokens = 512, .recipe = rounded.get()}), 8 * elements);
  EXPECT_EQ(tables({.tokens = 512, .recipe = rounded.get(), .packed = true}), 5 * elements + elements / 64 * 3);
  const MemoryPeak peak = model.quantization(*rounded, {}, {});
  EXPECT_EQ(peak.phase, "reading the head");
  EXPECT_EQ(term(peak, "copies of the head"), 8 * elements);
}

// Two blocks of 12.9 million weights each are as many as are rounded at once.
TEST(MemoryModel, CountsTheBlocksThatAreRoundedAtOnce) {
  const auto codes = [&](int threads) {
    ComputeConfig compute;
    compute.threads = threads;
    Architecture small = shape(8);
    small.vocabulary = 256;
    const auto rounded = recipe("[{rtn: {bits: 4, group: 64}}]");
    return term(MemoryModel(small, compute, kBaseline).quantization(*rounded, {}, {}), "codes of the blocks");
  };
  EXPECT_GT(codes(1), 0);
  EXPECT_EQ(codes(2), 2 * codes(1));
  EXPECT_EQ(codes(16), 2 * codes(1));
}

TEST(MemoryModel, StreamsAnEvaluationThatDoesNotFitAndThenMakesWavesSmaller) {
  const MemoryModel memory = model(64);
  EXPECT_FALSE(memory.place_evaluation(kLoad, 16384 * kMiB).streamed);
  const MemoryPlacement streamed = memory.place_evaluation(kLoad, 1024 * kMiB);
  EXPECT_TRUE(streamed.streamed);
  EXPECT_EQ(streamed.wave_tokens, 1 << 16);
  const MemoryPlacement small = memory.place_evaluation(kLoad, 450 * kMiB);
  EXPECT_LT(small.wave_tokens, 1 << 16);
  EXPECT_LE(memory.evaluation(kLoad, small).bytes(), 450 * kMiB);
  EXPECT_EQ(memory.place_evaluation(kLoad, 0).wave_tokens, ComputeConfig().batch_tokens);
}

TEST(MemoryModel, DoesWhatTheModeSaysWhateverTheLimit) {
  EXPECT_FALSE(model(64, MemoryMode::kResident).place_evaluation(kLoad, 0).streamed);
  EXPECT_TRUE(model(64, MemoryMode::kStreamed).place_evaluation(kLoad, std::int64_t{1} << 50).streamed);
}

TEST(MemoryModel, ComputesStatesAgainBeforeItSpillsStreams) {
  const auto gptq = recipe("[{gptq: {bits: 4, group: 64}}]");
  const QuantizationLoad load{.tokens = 65536, .longest = 512};
  const MemoryModel memory = model(8);
  const MemoryPlacement ample = memory.place_quantization(*gptq, load, 16384 * kMiB);
  EXPECT_GT(ample.held_bytes, 0);
  EXPECT_FALSE(ample.spill_streams);
  const std::int64_t most = memory.quantization(*gptq, load, ample).bytes();
  const MemoryPlacement less = memory.place_quantization(*gptq, load, most - 1);
  EXPECT_EQ(less.held_bytes, 0);
  EXPECT_FALSE(less.spill_streams);
  const MemoryPlacement least =
      memory.place_quantization(*gptq, load, memory.quantization(*gptq, load, less).bytes() - 1);
  EXPECT_TRUE(least.spill_streams);
  // A stream of 65536 tokens of 1024 numbers is 256 MiB, of which one sequence stays.
  EXPECT_LE(memory.quantization(*gptq, load, least).bytes(),
            memory.quantization(*gptq, load, less).bytes() - 250 * kMiB);
}

}  // namespace
}  // namespace lowbit
