#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/model/model.h"
#include "quantization/kv_cache/cache_cases.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

using testing::SmallRun;

constexpr std::int64_t kTokens = 40;

// Two sequences.
at::Tensor embedded(const Model& model) {
  const Random random(9, "ids");
  std::vector<std::int64_t> ids;
  for (std::uint64_t i = 0; i < 2 * kTokens; ++i) ids.push_back(static_cast<std::int64_t>(random.below(i, 20)));
  return model.embed(tensor_of(std::span<const std::int64_t>(ids)).view({2, kTokens}));
}

DecodedBatch decoded(const Model& model, std::int64_t prefill) {
  DecodedBatch batch{embedded(model), prefill, 0};
  model.decode_batches(std::span(&batch, 1), Cancellation());
  return batch;
}

// As generation goes: a token passes all blocks before the next comes.
DecodedBatch generated(const Model& model, std::int64_t prefill) {
  const at::Tensor x = embedded(model);
  std::vector<std::unique_ptr<KvCachePolicy>> caches;
  for (std::int64_t i = 0; i < model.architecture().layers; ++i) caches.push_back(model.make_kv_cache(i));
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < kTokens;) {
    const std::int64_t count = begin == 0 ? prefill : 1;
    at::Tensor hidden = x.narrow(1, begin, count).contiguous();
    for (std::size_t i = 0; i < caches.size(); ++i) {
      hidden = model.block(static_cast<std::int64_t>(i))->forward(hidden, model.rope(kTokens), caches[i].get());
    }
    parts.push_back(hidden);
    begin += count;
  }
  DecodedBatch result{concatenate(parts, 1), prefill, 0};
  for (const auto& cache : caches) result.cache_bytes += cache->bytes();
  return result;
}

double difference(const at::Tensor& a, const at::Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

class DecodeTest : public ::testing::Test {
 protected:
  std::shared_ptr<Model> quantized(const std::string& yaml, const std::string& folder,
                                   Model::Residency residency = Model::Residency::kResident) const {
    if (!std::filesystem::exists(run_.path(folder))) (void)run_.quantize(yaml, folder);
    return Model::make(run_.artifact(folder), nullptr, {}, residency, runtime_readers(run_.registries));
  }
  SmallRun run_;
};

// Products of one row and of many are summed in another order; 48 terms of float32 in two blocks stay below 1e-5.
TEST_F(DecodeTest, WithAFloatCacheIsTheForwardPass) {
  const at::Tensor expected = run_.model().run(embedded(run_.model()));
  for (const std::int64_t prefill : {0, 1, 25, 39, 40}) {
    const DecodedBatch batch = decoded(run_.model(), prefill);
    EXPECT_LT(difference(batch.hidden, expected), 1e-5) << prefill;
    EXPECT_EQ(batch.cache_bytes, 2 * 2 * 2 * kTokens * 32 * 4);  // two sequences and blocks, keys and values
  }
}

// Where a sum's last bits decide between two codes, one may be another: a step of 2^8 - 1.
TEST_F(DecodeTest, LayerByLayerIsTokenByToken) {
  const auto model = quantized("[{rtn: {group: 16}}, {kivi: {bits: 8, group: 4, window: 8}}]", "out");
  for (const std::int64_t prefill : {1, 8, 19}) {
    const DecodedBatch batch = decoded(*model, prefill);
    const DecodedBatch expected = generated(*model, prefill);
    EXPECT_LT(difference(batch.hidden, expected.hidden), 2e-3) << prefill;
    EXPECT_EQ(batch.cache_bytes, expected.cache_bytes);
  }
}

// LLM.int8() takes a column out for all tokens that are computed together, so that one by one is another computation.
TEST_F(DecodeTest, ReadsTokensByThemselvesWhereTheProductsMixThem) {
  const auto model = quantized("[{rtn: {bits: 8, group: -1}}, {llm_int8: {threshold: 1.5}}]", "int8");
  ASSERT_TRUE(model->block(0)->mixes_tokens());
  EXPECT_TRUE(decoded(*model, 10).hidden.equal(generated(*model, 10).hidden));
  EXPECT_GT(difference(decoded(*model, 10).hidden, model->run(embedded(*model))), 1e-4);
  const auto by_token =
      quantized("[{rtn: {bits: 8, group: -1}}, {llm_int8: {threshold: 1.5, columns: token}}]", "by_token");
  EXPECT_FALSE(by_token->block(0)->mixes_tokens());
}

TEST_F(DecodeTest, DoesNotDependOnBatchOrResidency) {
  const std::string yaml = "[{rtn: {group: 16}}, {kivi: {bits: 2, group: 4, window: 8}}]";
  const auto model = quantized(yaml, "out");
  const DecodedBatch both = decoded(*model, 11);
  EXPECT_TRUE(decoded(*quantized(yaml, "out", Model::Residency::kStreamed), 11).hidden.equal(both.hidden));
  std::vector<DecodedBatch> alone;
  for (std::int64_t i = 0; i < 2; ++i) alone.push_back({embedded(*model).narrow(0, i, 1).contiguous(), 11, 0});
  model->decode_batches(alone, Cancellation());
  for (std::int64_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(alone[static_cast<std::size_t>(i)].hidden.equal(both.hidden.narrow(0, i, 1))) << i;
    EXPECT_EQ(alone[static_cast<std::size_t>(i)].cache_bytes, both.cache_bytes / 2);
  }
}

TEST_F(DecodeTest, StandsBehindRotatedQueriesAndKeys) {
  const std::string weights = "{quarot: {queries_keys: true}}, {rtn: {bits: 8, group: 4}}";
  const at::Tensor expected = decoded(*quantized("[" + weights + "]", "rotated"), 10).hidden;
  const auto model = quantized("[" + weights + ", {kv_cache: {bits: 8, group: -1}}]", "both");
  const double error = difference(decoded(*model, 10).hidden, expected);
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.02);
}

TEST_F(DecodeTest, NearsTheFloatCacheAsBitsGrow) {
  const at::Tensor expected = decoded(run_.model(), 10).hidden;
  double last = 1;
  for (const int bits : {2, 4, 8}) {
    const auto model =
        quantized(fmt::format("[{{kivi: {{bits: {}, group: 4, window: 4}}}}]", bits), fmt::format("b{}", bits));
    const double error = difference(decoded(*model, 10).hidden, expected);
    EXPECT_LT(error, last / 2) << bits;
    last = error;
  }
  EXPECT_LT(last, 0.02);
}

}  // namespace
}  // namespace lowbit
