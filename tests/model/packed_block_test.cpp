#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/model/activation_scheme.h"
#include "lowbit/tensor/parallel.h"
#include "model/packed_model.h"
#include "model/packed_products.h"
#include "support/attended_alike.h"

namespace lowbit {
namespace {

using lowbit::testing::four_bits;
using lowbit::testing::PackedModel;

at::Tensor by_pieces(const Block& block, const at::Tensor& hidden, const RopeTable& rope, KvCachePolicy* cache) {
  BlockState state = block.begin(hidden);
  for (std::size_t group = 0; group < block.fused_groups().size(); ++group) block.step(state, group, rope, cache);
  return state.residual;
}

RuntimeRecord eight_bits_a_token() {
  ActivationScheme scheme;
  scheme.bits = 8;
  scheme.symmetry = Symmetry::kSymRestricted;
  scheme.per = ActivationScheme::Per::kToken;
  return {ActivationScheme::kRecordName, echo_fields(scheme), {}};
}

class PackedBlock : public PackedModel {
 protected:
  // Tokens of one and of two parts, with and without a cache.
  void expect_the_bits_of_its_pieces(const char* arithmetic) {
    const NoGradScope no_grad;
    const auto model = open(Execution::kPacked);
    const auto block = model->block(1);
    ASSERT_EQ(packed_obstacle(*block), "");
    ASSERT_EQ(block->linears().front().record.arithmetic, arithmetic);
    for (const std::int64_t tokens : {1, 3, 40, 300}) {
      const at::Tensor hidden = model->embed(ids(2, tokens));
      const at::Tensor before = hidden.clone();
      const RopeTable& rope = model->rope(tokens + 1);
      EXPECT_TRUE(block->forward(hidden, rope).equal(by_pieces(*block, hidden, rope, nullptr)))
          << arithmetic << ", " << tokens << " tokens";
      EXPECT_TRUE(hidden.equal(before));
      const auto one = make_float_kv_cache(0);
      const auto other = make_float_kv_cache(0);
      for (const at::Tensor& part : {hidden, hidden.narrow(1, 0, 1)}) {
        EXPECT_TRUE(block->forward(part, rope, one.get()).equal(by_pieces(*block, part, rope, other.get())))
            << arithmetic << ", " << tokens << " tokens and a cache";
      }
    }
  }
};

TEST_F(PackedBlock, HasTheBitsOfItsPiecesInInt16) {
  write(four_bits());
  expect_the_bits_of_its_pieces("int16");
}

TEST_F(PackedBlock, HasTheBitsOfItsPiecesInInt8) {
  write(four_bits(), {eight_bits_a_token()});
  expect_the_bits_of_its_pieces("int8");
}

TEST_F(PackedBlock, HasTheBitsOfItsPiecesInFloat32) {
  write(GridOptions::of(NumberFormat::kNf4).spec());
  expect_the_bits_of_its_pieces("float32");
}

TEST_F(PackedBlock, IsTheSameForAnyThreads) {
  write(four_bits());
  const NoGradScope no_grad;
  const auto model = open(Execution::kPacked);
  const at::Tensor hidden = model->embed(ids(2, 70));
  const int threads = thread_count();
  set_thread_count(1);
  const at::Tensor alone = model->run(hidden);
  set_thread_count(3);
  EXPECT_TRUE(model->run(hidden).equal(alone));
  set_thread_count(threads);
}

// A float32 cache whose keys and values bfloat16 holds.
class RoundingCache : public KvCachePolicy {
 public:
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    const auto rounded = [](const at::Tensor& t) { return to_dtype(to_dtype(t, DType::kBFloat16), DType::kFloat32); };
    return kept_->append_and_attend(q, rounded(k), rounded(v), scale, deterministic);
  }
  std::int64_t length() const override { return kept_->length(); }
  std::int64_t bytes() const override { return kept_->bytes(); }

 private:
  std::unique_ptr<KvCachePolicy> kept_ = make_float_kv_cache(0);
};

// In bfloat16 a packed block is the float32 one but for its output, keys and values: bfloat16 holds the model's norms.
TEST_F(PackedBlock, RoundsItsOutputKeysAndValuesInBfloat16AndNothingElse) {
  write(four_bits());
  const NoGradScope no_grad;
  const auto model = open(Execution::kPacked, Model::Residency::kResident, DType::kBFloat16);
  const auto wide = open(Execution::kPacked);
  ASSERT_EQ(packed_obstacle(*model->block(1)), "");
  for (const std::int64_t tokens : {1, 3, 300}) {
    const at::Tensor hidden = model->embed(ids(2, tokens));
    const RopeTable& rope = model->rope(tokens + 1);
    const auto one = make_float_kv_cache(0);
    RoundingCache other;
    RoundingCache none;
    EXPECT_TRUE(model->block(1)
                    ->forward(hidden, rope)
                    .equal(to_dtype(by_pieces(*wide->block(1), to_dtype(hidden, DType::kFloat32), rope, &none),
                                    DType::kBFloat16)));
    for (const at::Tensor& part : {hidden, hidden.narrow(1, 0, 1)}) {
      const at::Tensor expected = by_pieces(*wide->block(1), to_dtype(part, DType::kFloat32), rope, &other);
      const at::Tensor found = model->block(1)->forward(part, rope, one.get());
      ASSERT_EQ(dtype_of(found), DType::kBFloat16);
      EXPECT_TRUE(found.equal(to_dtype(expected, DType::kBFloat16))) << tokens;
    }
    EXPECT_EQ(one->bytes(), 2 * 2 * 32 * (tokens + 1) * 2);
  }
}

// And lies as near to float32 as the pieces do, each of which rounds to bfloat16: 2^-9 of what it gives. A block's
// output passes through at most ten of them in a row, and none makes a relative error more than four times as large
// here.
TEST_F(PackedBlock, InBfloat16IsNearItsPieces) {
  write(four_bits());
  const NoGradScope no_grad;
  const auto model = open(Execution::kPacked, Model::Residency::kResident, DType::kBFloat16);
  const at::Tensor hidden = model->embed(ids(2, 40));
  const at::Tensor exact =
      by_pieces(*open(Execution::kPacked)->block(1), to_dtype(hidden, DType::kFloat32), model->rope(40), nullptr);
  const auto distance = [&](const at::Tensor& x) {
    return to_dtype(x, DType::kFloat32).sub(exact).norm().item<double>() / exact.norm().item<double>();
  };
  const double own = distance(model->block(1)->forward(hidden, model->rope(40)));
  const double of_pieces = distance(by_pieces(*model->block(1), hidden, model->rope(40), nullptr));
  EXPECT_LE(of_pieces, 40 / 512.0);
  EXPECT_LE(own, of_pieces);
  EXPECT_GT(own, 0.0);
}

TEST_F(PackedBlock, ShowsTapsWhatItsPiecesRead) {
  write(four_bits());
  class Names : public TapSink {
   public:
    void input(std::string_view group, const at::Tensor&) override { names.emplace_back(group); }
    std::vector<std::string> names;
  };
  const NoGradScope no_grad;
  const auto model = open(Execution::kPacked);
  const at::Tensor hidden = model->embed(ids(1, 5));
  Names names;
  const at::Tensor found = model->block(0)->forward(hidden, model->rope(5), nullptr, &names);
  EXPECT_EQ(names.names, (std::vector<std::string>{"attention_input", "o_input", "mlp_input", "down_input"}));
  EXPECT_TRUE(found.equal(model->block(0)->forward(hidden, model->rope(5))));
}

// The largest of all logits, one by one and together, and what `rank` says of them.
TEST_F(PackedBlock, RanksTheLogitsOfItsHead) {
  for (const bool quantized : {true, false}) {
    write(four_bits());
    const NoGradScope no_grad;
    const auto model = open(quantized ? Execution::kPacked : Execution::kSimulated);
    const at::Tensor states = model->final_norm(model->embed(ids(1, 9)).select(0, 0));
    const at::Tensor logits = model->head(states);
    const std::vector<std::vector<RankedToken>> ranked = model->rank(states, 7);
    const auto [values, order] = logits.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
    ASSERT_EQ(ranked.size(), 9U);
    for (std::int64_t row = 0; row < 9; ++row) {
      ASSERT_EQ(ranked[static_cast<std::size_t>(row)].size(), 7U);
      for (std::int64_t i = 0; i < 7; ++i) {
        const RankedToken& found = ranked[static_cast<std::size_t>(row)][static_cast<std::size_t>(i)];
        EXPECT_EQ(found.id, order.select(0, row).select(0, i).item<std::int64_t>());
        EXPECT_EQ(found.logit, values.select(0, row).select(0, i).item<float>());
      }
    }
    EXPECT_EQ(model->rank(states, 1000).front().size(), 20U);
  }
}

}  // namespace
}  // namespace lowbit
