#include "model/stored_product.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include "lowbit/base/error.h"
#include "lowbit/model/activation_scheme.h"
#include "lowbit/model/artifact.h"
#include "lowbit/model/decoder.h"
#include "lowbit/model/model.h"
#include "lowbit/model/runtime_readers.h"
#include "lowbit/tensor/ops.h"
#include "model/packed_model.h"
#include "model/packed_op.h"
#include "support/attended_alike.h"
#include "support/error_text.h"
#include "support/test_data.h"
#include "tensor/float_panels.h"

namespace lowbit {
namespace {

using lowbit::testing::error_text;
using lowbit::testing::four_bits;
using lowbit::testing::PackedModel;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(PackedModel, HasTheBitsOfDecodedWeightsInFloat32) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  write(GridOptions::of(NumberFormat::kNf4).spec());
  const NoGradScope no_grad;
  const auto simulated = open(Execution::kSimulated);
  const auto packed = open(Execution::kPacked);
  EXPECT_TRUE(packed->run(packed->embed(ids(2, 6))).equal(simulated->run(simulated->embed(ids(2, 6)))));
  EXPECT_THAT(simulated->products(), SizeIs(0));
  EXPECT_THAT(packed->products(), SizeIs(14));
}

// An input is off by at most 2^-16 of the largest of its group, and each of a few dozen sums by 2^-24.
TEST_F(PackedModel, TakesSixteenBitsOfAnInputInInt16) {
  write(four_bits());
  const auto model = open(Execution::kPacked);
  const LinearOp& op = *model->block(0)->linears().front().op;
  const at::Tensor x = model->embed(ids(1, 9));
  const at::Tensor weight = op.dense_weight().to(at::kDouble);
  const at::Tensor expected = x.to(at::kDouble).matmul(weight.t());
  const at::Tensor error = op.forward(x, true).to(at::kDouble).sub(expected).abs();
  const at::Tensor allowed = weight.abs().sum(1).mul(x.abs().max().to(at::kDouble)).mul(0x1p-16 + 64 * 0x1p-24);
  EXPECT_TRUE(error.le(allowed).all().item<bool>());
  EXPECT_GT(error.max().item<double>(), 0.0) << "rounds, so that an exact product would mean it did not run";
}

TEST_F(PackedModel, SaysHowEveryProductRan) {
  write(four_bits());
  const auto model = open(Execution::kPacked);
  (void)logits(*model);
  const std::vector<ProductRecord> products = model->products();
  ASSERT_THAT(products, SizeIs(15));
  EXPECT_EQ(products.front().linear, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(products.back().linear, "lm_head");
  for (const ProductRecord& product : products) {
    EXPECT_TRUE(product.packed);
    EXPECT_EQ(product.arithmetic, "int16");
    EXPECT_GT(product.outputs, 0) << product.linear;
    EXPECT_GT(product.worst_share, 0) << product.linear;
    EXPECT_LE(product.worst_share, 1) << product.linear;
  }
  const std::vector<ProductSummary> summaries = summarize_products(products);
  // Codes of 4 bits and the head's of 8 have kernels of their own, but for AVX-512.
  const bool alike = products.front().kernels == products.back().kernels;
  ASSERT_THAT(summaries, SizeIs(alike ? 1 : 2));
  EXPECT_EQ(summaries[0].count, alike ? 15 : 14);
  EXPECT_THAT(summaries[0].text(), HasSubstr(alike ? "15 packed, int16 (" : "14 packed, int16 ("));
}

TEST_F(PackedModel, HoldsNoFloatsOfPackedWeights) {
  write(four_bits());
  const auto block = open(Execution::kPacked)->block(0);
  for (const LinearSlot& slot : block->linears()) {
    EXPECT_NE(dynamic_cast<const PackedLinear*>(slot.op.get()), nullptr) << slot.name;
  }
}

TEST_F(PackedModel, StreamsWithTheSameBitsAndTheSameRecords) {
  write(four_bits());
  const auto resident = open(Execution::kPacked);
  const auto streamed = open(Execution::kPacked, Model::Residency::kStreamed);
  const at::Tensor expected = logits(*resident);
  EXPECT_TRUE(logits(*streamed).equal(expected));
  EXPECT_TRUE(logits(*streamed).equal(expected)) << "a second pass packs again";
  ASSERT_EQ(streamed->products().size(), resident->products().size());
  EXPECT_EQ(streamed->products().back().error, resident->products().back().error);
}

TEST_F(PackedModel, LeavesTheRoundingOfInputsToInt8) {
  const ActivationScheme scheme;
  write(four_bits(), {{ActivationScheme::kRecordName, echo_fields(scheme), {}}});
  const auto block = open(Execution::kPacked)->block(0);
  for (const LinearSlot& slot : block->linears()) {
    EXPECT_EQ(slot.record.arithmetic, "int8");
    EXPECT_TRUE(slot.executions.empty());
  }
}

TEST_F(PackedModel, AddsUpWholeNumbersWithScalesOfTwoLevels) {
  const ActivationScheme scheme;
  GridSpec grid = four_bits();
  grid.scale_type = ScaleType::kUint8;
  write(grid, {{ActivationScheme::kRecordName, echo_fields(scheme), {}}});
  const auto block = open(Execution::kPacked)->block(0);
  for (const LinearSlot& slot : block->linears()) {
    EXPECT_EQ(slot.record.arithmetic, "int8_two_level");
    EXPECT_LE(slot.record.worst_share, 1) << slot.name;
    EXPECT_TRUE(slot.executions.empty());
  }
}

TEST_F(PackedModel, RunsOtherExecutionsAroundFloat32Products) {
  ActivationScheme scheme;
  scheme.bits = 4;
  write(four_bits(), {{ActivationScheme::kRecordName, echo_fields(scheme), {}}});
  const auto block = open(Execution::kPacked)->block(0);
  for (const LinearSlot& slot : block->linears()) {
    EXPECT_EQ(slot.record.arithmetic, "float32");
    EXPECT_EQ(slot.record.around, "int4 per token");
    EXPECT_THAT(slot.executions, SizeIs(1));
  }
}

TEST_F(PackedModel, TakesTablesAndRealZerosInFloat32) {
  write(GridOptions::of(NumberFormat::kNf4).spec());
  const auto model = open(Execution::kPacked);
  EXPECT_EQ(model->block(0)->linears().front().record.arithmetic, "float32");
}

// A rotated weight has no packed product.
void rotate_queries(const std::string& slot, QuantizedWeight& weight) {
  if (slot == "self_attn.q_proj") weight.rotations.push_back({RotationTag::Side::kInput, "hadamard", 16});
}

TEST_F(PackedModel, NamesTheLayerThatCannotRunPackedAndWhy) {
  write(four_bits(), {}, rotate_queries);
  const std::string text = error_text(ErrorCode::kUnsupported, [&] { (void)open(Execution::kPacked)->block(0); });
  EXPECT_THAT(text, HasSubstr("model.layers.0.self_attn.q_proj: cannot run packed: packing: the weight is rotated by "
                              "'hadamard', and packed products rotate no input; 'execution: auto' simulates what no "
                              "kernel computes"));
}

TEST_F(PackedModel, SimulatesInAutoWhatCannotRunPackedAndSaysSo) {
  write(four_bits(), {}, rotate_queries);
  const auto block = open(Execution::kAuto)->block(0);
  const ProductRecord& record = block->linear("self_attn.q_proj").record;
  EXPECT_FALSE(record.packed);
  EXPECT_EQ(record.reason, "packing: the weight is rotated by 'hadamard', and packed products rotate no input");
  EXPECT_TRUE(block->linear("self_attn.k_proj").record.packed);
}

TEST_F(PackedModel, RefusesGradients) {
  write(four_bits());
  ComputeOptions options;
  options.execution = Execution::kPacked;
  options.differentiable = true;
  EXPECT_EQ(
      error_text(ErrorCode::kUnsupported,
                 [&] { (void)Model::make(open_weights(folder_ / "artifact"), nullptr, options); }),
      "packed products run on 'cpu' and 'cuda', without gradients; set 'execution: simulated' to compute on 'cpu' with "
      "gradients");
}

// A prompt, then token by token: the direct path, and blocks with their caches.
TEST_F(PackedModel, DecodesTokenByTokenWithTheBitsOfBlocks) {
  write(four_bits());
  const auto model = open(Execution::kPacked);
  const at::Tensor all = ids(3, 30);
  const NoGradScope no_grad;
  std::vector<std::unique_ptr<KvCachePolicy>> caches;
  for (std::int64_t i = 0; i < 2; ++i) caches.push_back(make_float_kv_cache(0));
  const auto by_blocks = [&](const at::Tensor& part) {
    at::Tensor hidden = model->embed(part);
    for (std::int64_t i = 0; i < 2; ++i) {
      hidden = model->block(i)->forward(hidden, model->rope(30), caches[static_cast<std::size_t>(i)].get());
    }
    return model->logits(hidden.narrow(1, part.size(1) - 1, 1)).select(1, 0);
  };
  for (const std::int64_t prompt : {1, 9}) {
    for (auto& cache : caches) cache = make_float_kv_cache(0);
    Decoder decoder(*model, 3, 30);
    EXPECT_EQ(decoder.detour(), "");
    EXPECT_TRUE(
        testing::attended_alike(decoder.read(all.narrow(1, 0, prompt), {}), by_blocks(all.narrow(1, 0, prompt))));
    for (std::int64_t token = prompt; token < 30; ++token) {
      const at::Tensor expected = by_blocks(all.narrow(1, token, 1));
      ASSERT_TRUE(testing::attended_alike(decoder.read(all.narrow(1, token, 1), {}), expected)) << "token " << token;
    }
    EXPECT_EQ(decoder.cache_bytes(), 2 * 2 * 3 * 30 * 32 * 4);
  }
}

TEST_F(PackedModel, TakesTheDetourWhereSomethingRunsAroundAProduct) {
  ActivationScheme scheme;
  scheme.bits = 4;
  write(four_bits(), {{ActivationScheme::kRecordName, echo_fields(scheme), {}}});
  EXPECT_EQ(Decoder(*open(Execution::kPacked), 1, 8).detour(),
            "something runs around 'model.layers.0.self_attn.q_proj'");
}

// bfloat16 holds the embedding and the norms, so that what a float32 head says of the blocks' output is expected.
TEST_F(PackedModel, DecodesInBfloat16WithTheBitsOfBlocksAndLogitsInFloat32) {
  write(four_bits());
  const auto model = open(Execution::kPacked, Model::Residency::kResident, DType::kBFloat16);
  const auto wide = open(Execution::kPacked);
  const at::Tensor all = ids(3, 30);
  const NoGradScope no_grad;
  for (const std::int64_t prompt : {1, 9}) {
    std::vector<std::unique_ptr<KvCachePolicy>> caches;
    for (std::int64_t i = 0; i < 2; ++i) caches.push_back(make_float_kv_cache(0));
    Decoder decoder(*model, 3, 30);
    ASSERT_EQ(decoder.detour(), "");
    for (std::int64_t token = 0; token < 30; token = token == 0 ? prompt : token + 1) {
      const at::Tensor part = all.narrow(1, token, token == 0 ? prompt : 1);
      at::Tensor hidden = model->embed(part);
      for (std::int64_t i = 0; i < 2; ++i) {
        hidden = model->block(i)->forward(hidden, model->rope(30), caches[static_cast<std::size_t>(i)].get());
      }
      const at::Tensor last = to_dtype(hidden.narrow(1, part.size(1) - 1, 1), DType::kFloat32);
      const at::Tensor expected = wide->logits(last).select(1, 0);
      ASSERT_TRUE(testing::attended_alike(decoder.read(part, {}), expected, 0.05)) << "token " << token;
    }
    EXPECT_EQ(decoder.cache_bytes(), 2 * 2 * 3 * 30 * 32 * 2);
  }
}

// Float products, decoded or not, with a float head or a packed one: as blocks with their caches read them.
TEST_F(PackedModel, DecodesFloatProductsWithTheBitsOfBlocks) {
  write(four_bits());
  const at::Tensor all = ids(3, 20);
  const NoGradScope no_grad;
  for (const auto& model : {open(Execution::kSimulated),
                            Model::make(std::make_shared<testing::SmallModel>(folder_ / "base"), nullptr, {})}) {
    std::vector<std::unique_ptr<KvCachePolicy>> caches;
    for (std::int64_t i = 0; i < 2; ++i) caches.push_back(make_float_kv_cache(0));
    Decoder decoder(*model, 3, 20);
    ASSERT_EQ(decoder.detour(), "");
    for (std::int64_t token = 0; token < 20; token = token == 0 ? 5 : token + 1) {
      const at::Tensor part = all.narrow(1, token, token == 0 ? 5 : 1);
      at::Tensor hidden = model->embed(part);
      for (std::int64_t i = 0; i < 2; ++i) {
        hidden = model->block(i)->forward(hidden, model->rope(20), caches[static_cast<std::size_t>(i)].get());
      }
      const at::Tensor expected = model->logits(hidden.narrow(1, part.size(1) - 1, 1)).select(1, 0);
      ASSERT_TRUE(testing::attended_alike(decoder.read(part, {}), expected)) << "token " << token;
    }
  }
}

// Norms, products' sums, rotary positions, attention and SiLU are float32: what is left are roundings of 2^-9 of
// weights (none here), keys, values and two blocks' outputs, which grow to a few percent of the largest logit.
TEST_F(PackedModel, DecodesFloatProductsInBfloat16NearFloat32) {
  const auto base = std::make_shared<testing::SmallModel>(folder_ / "base");
  const auto rough = Model::make(base, nullptr, {.dtype = DType::kBFloat16});
  const auto exact = Model::make(base, nullptr, {});
  const at::Tensor all = ids(2, 20);
  const NoGradScope no_grad;
  Decoder decoder(*rough, 2, 20);
  Decoder wide(*exact, 2, 20);
  ASSERT_EQ(decoder.detour(), "");
  for (std::int64_t token = 0; token < 20; ++token) {
    const at::Tensor expected = wide.read(all.narrow(1, token, 1), {});
    const at::Tensor error = decoder.read(all.narrow(1, token, 1), {}).sub(expected);
    EXPECT_LE(error.abs().max().item<double>(), 0.05 * expected.abs().max().item<double>()) << token;
    EXPECT_GT(error.abs().max().item<double>(), 0.0) << token;
  }
  EXPECT_EQ(decoder.cache_bytes(), wide.cache_bytes() / 2);
}

// The largest logits are those of the logits, and an id without a row in the embedding is refused on either way.
TEST_F(PackedModel, RanksWhatItDecodes) {
  write(four_bits());
  const auto model = open(Execution::kPacked);
  const std::vector<TokenId> prompt = {3, 1, 4, 1, 5, 9};
  Decoder ranked(*model, 2, 8);
  Decoder whole(*model, 2, 8);
  for (const std::int64_t tokens : {3, 1}) {
    const std::span<const TokenId> part(prompt.data(), static_cast<std::size_t>(2 * tokens));
    const std::vector<std::int64_t> wide(part.begin(), part.end());
    const at::Tensor logits = whole.read(tensor_of(std::span<const std::int64_t>(wide)).view({2, tokens}), {});
    const auto found = ranked.read_ranked(part, 4, {});
    const auto [values, order] = logits.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
    ASSERT_EQ(found.size(), 2U);
    for (std::int64_t row = 0; row < 2; ++row) {
      ASSERT_EQ(found[static_cast<std::size_t>(row)].size(), 4U);
      for (std::int64_t i = 0; i < 4; ++i) {
        const RankedToken& token = found[static_cast<std::size_t>(row)][static_cast<std::size_t>(i)];
        EXPECT_EQ(token.id, order.select(0, row).select(0, i).item<std::int64_t>());
        EXPECT_EQ(token.logit, values.select(0, row).select(0, i).item<float>());
      }
    }
  }
  const std::vector<TokenId> foreign = {3, 20};
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)ranked.read_ranked(foreign, 1, {}); }),
            "token id 20 is outside the model's vocabulary of 20");
  EXPECT_EQ(error_text(ErrorCode::kInternal, [&] { (void)whole.read_ranked(prompt, 0, {}); }),
            "rank: the 0 largest logits, expected at least 1");
  const std::span<const TokenId> odd(prompt.data(), 5);
  EXPECT_EQ(error_text(ErrorCode::kInternal, [&] { (void)ranked.read_ranked(odd, 1, {}); }),
            "decoder: ids [5] behind 4 positions, expected [2, 1 to 4]");
}

TEST_F(PackedModel, RefusesTokensBeyondTheLimit) {
  write(four_bits());
  const auto model = open(Execution::kPacked);
  Decoder decoder(*model, 1, 4);
  (void)decoder.read(ids(1, 3), {});
  EXPECT_EQ(error_text(ErrorCode::kInternal, [&] { (void)decoder.read(ids(1, 2), {}); }),
            "decoder: ids [1, 2] behind 3 positions, expected [1, 1 to 1]");
}

TEST(ProductSummary, SaysWhereNothingWasCompared) {
  ProductRecord record;
  record.packed = true;
  record.arithmetic = "int16";
  EXPECT_EQ(summarize_products(std::vector{record}).front().text(), "1 packed, int16 (not certified)");
  record.kernels = "avx2: direct, bytes";
  EXPECT_EQ(summarize_products(std::vector{record}).front().text(), "1 packed, int16 (avx2: direct, bytes)");
}

}  // namespace
}  // namespace lowbit
