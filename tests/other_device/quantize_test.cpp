// Every method, with its calibration, on a device that is not the CPU; what it writes is compared with what the CPU
// does.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "lowbit/base/error.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/model/artifact.h"
#include "lowbit/quantization/driver.h"
#include "lowbit/tensor/factorization.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/gram.h"
#include "lowbit/tensor/ops.h"
#include "other_device/device_under_test.h"
#include "other_device/emulated_kernels.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

using testing::device_under_test;
using testing::SmallModel;
using testing::SmallRun;

struct Case {
  const char* name;
  const char* recipe;
  bool by_kernels = false;  ///< of ours, where they take it
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Of operations that a sweep and the measure of its result ask for.
struct Calls {
  int products = testing::calls_of("aten::addmm.out");
  int sums = testing::calls_of("aten::sum.IntList_out");
  int rounded = testing::calls_of("aten::round.out");
};

class QuantizeOnOtherDevice : public ::testing::TestWithParam<Case> {
 protected:
  QuantizeOnOtherDevice() {
    if (GetParam().by_kernels) kernels_.emplace();
  }
  QuantizeReport quantize_there(const std::string& output, bool spilled) const {
    QuantizeRequest request = run_.request(GetParam().recipe, output);
    request.model = open(std::make_shared<SmallModel>(run_.path("base")));
    request.memory.spill_streams = spilled;
    if (spilled) request.memory.held_bytes = 0;
    QuantizeReport report;
    guard_torch([&] { report = quantize(request, *silent_progress(), Cancellation()); });
    return report;
  }
  std::shared_ptr<Model> open(std::shared_ptr<const WeightSource> weights, bool there = true) const {
    ComputeOptions options;
    options.deterministic = !there;
    if (there) options.device = device_under_test();
    return Model::make(std::move(weights), std::make_unique<testing::NoTokenizer>(), options,
                       Model::Residency::kResident, runtime_readers(run_.registries));
  }
  at::Tensor logits(const std::string& output, bool there) const {
    const NoGradScope no_grad;
    const auto model = open(run_.artifact(output), there);
    const at::Tensor ids = make_arange(14, DType::kInt64).mul(7).remainder(20).view({2, 7});
    return model->logits(model->run(model->embed(ids))).cpu();
  }
  SmallRun run_;
  std::optional<testing::EmulatedKernels> kernels_;
};

// Sums of the statistics are taken in another order, so that a weight which lies within some 1e-5 of a step from the
// middle of two numbers may go to the other one, and columns behind it may follow: of 14,000 codes a few.
TEST_P(QuantizeOnOtherDevice, WritesWhatTheCpuWrites) {
  const QuantizeReport report = run_.quantize(GetParam().recipe, "here");
  const Calls before;
  const QuantizeReport found_report = quantize_there("there", false);
  const Calls after;
  (void)quantize_there("spilled", true);
  EXPECT_EQ(run_.hashes("there"), run_.hashes("spilled"));
  const auto here = run_.artifact("here");
  for (const std::string& name : linear_names(run_.model().architecture())) {
    const auto expected = here->load_quantized(name);
    ASSERT_TRUE(expected) << name;
    const QuantizedWeight found = run_.layer("there", name);
    EXPECT_LE(found.codes.ne(expected->codes).sum().item<std::int64_t>(), expected->codes.numel() / 50) << name;
  }
  // Solvers that ask for a Hessian sweep columns, whose loss is one sum, and by it three errors are measured.
  int measured = 0;
  ASSERT_EQ(found_report.layers.size(), report.layers.size());
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    EXPECT_NEAR(found_report.layers[i].output_error / report.layers[i].output_error, 1, 0.02) << report.layers[i].layer;
    if (report.layers[i].output_error >= 0) ++measured;
  }
  if (device_under_test() != testing::stand_in()) return;  // which alone counts
  EXPECT_GE(after.products - before.products, measured);
  EXPECT_GE(after.sums - before.sums, 4 * measured);
  if (GetParam().by_kernels) {
    EXPECT_LE(after.rounded - before.rounded, 16 * measured) << "LibTorch rounded more than each layer's first group";
  }
}

// One artifact, read by both. Inputs that are rounded may fall to the other side too: by a step in 2^4 or less.
TEST_P(QuantizeOnOtherDevice, RunsWhatWasWritten) {
  run_.quantize(GetParam().recipe, "here");
  const at::Tensor expected = logits("here", false);
  const at::Tensor found = logits("here", true);
  const double size = expected.pow(2).mean().sqrt().item<double>();
  EXPECT_LE(found.sub(expected).pow(2).mean().sqrt().item<double>(), size / 64);
}

INSTANTIATE_TEST_SUITE_P(
    Recipes, QuantizeOnOtherDevice,
    ::testing::Values(Case{"rtn", "[{rtn: {bits: 4, group: 16}}]"}, Case{"hqq", "[{hqq: {bits: 4, group: 16}}]"},
                      Case{"gptq", "[{gptq: {bits: 3, group: 16, act_order: true}}]"},
                      Case{"gptq_by_kernels", "[{gptq: {bits: 3, group: 16, act_order: true}}]", true},
                      Case{"gptaq_by_kernels", "[{gptaq: {bits: 3, group: 16}}]", true},
                      Case{"gptaq", "[{gptaq: {bits: 3, group: 16}}]"}, Case{"spqr", "[{spqr: {}}]"},
                      Case{"easyquant", "[{easyquant: {}}]"}, Case{"zeroquant", "[{zeroquant: {}}]"},
                      Case{"awq", "[{awq: {}}, {rtn: {bits: 4, group: 16}}]"},
                      Case{"smoothquant", "[{smoothquant: {}}, {rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]"},
                      Case{"static", "[{gptq: {bits: 8}}, {activations: {bits: 8, per: tensor, range: mse}}]"},
                      Case{"llm_int8", "[{rtn: {bits: 8, group: -1}}, {llm_int8: {threshold: 1.5}}]"},
                      Case{"quarot",
                           "[{quarot: {queries_keys: true}}, {gptq: {bits: 4}}, {kv_cache: {bits: 4, group: 8}}]"},
                      Case{"kivi", "[{rtn: {bits: 8}}, {kivi: {group: 8}}]"},
                      Case{"head", "[{head: {bits: 8}}, {rtn: {bits: 8}}]"}),
    [](const auto& recipe) { return std::string(recipe.param.name); });

// Chunks of 512 rows: float32 products of the same numbers in another order, added in float64.
TEST(StatisticsOnOtherDevice, AddUpTheDevicesProducts) {
  const at::Tensor x = make_arange(700 * 6, DType::kFloat32).remainder(37).sub(18).view({700, 6});
  const at::Tensor y = x.mul(0.5).add(1);
  EXPECT_TRUE(gram(x.to(device_under_test())).equal(gram(x)));  // whole numbers: exact in any order
  EXPECT_TRUE(cross_gram(x.to(device_under_test()), y.to(device_under_test())).equal(cross_gram(x, y)));
}

// Three slices of rows; whole numbers, above the diagonal others.
TEST(StatisticsOnOtherDevice, MirrorWhatLiesBelowTheDiagonal) {
  constexpr std::int64_t kSize = 1100;
  at::Tensor here = to_dtype(make_arange(kSize * kSize, DType::kInt64).view({kSize, kSize}), DType::kFloat64);
  at::Tensor there = here.to(device_under_test());
  mirror_lower_triangle(here);
  mirror_lower_triangle(there);
  EXPECT_TRUE(here.equal(here.t()));
  EXPECT_EQ(here.select(0, 3).select(0, 7).item<double>(), 7 * kSize + 3);
  EXPECT_TRUE(there.cpu().equal(here));
}

// Chunks of two lengths, in whole numbers.
TEST(StatisticsOnOtherDevice, AreThoseOfTheCpu) {
  StatisticsNeeds needs;
  needs.hessian = needs.cross = needs.channel_range = true;
  Statistics here(6, needs), there(6, needs), part(6, needs);
  for (const std::int64_t tokens : {700, 30}) {
    const at::Tensor x = make_arange(tokens * 6, DType::kFloat32).remainder(37).sub(18).view({tokens, 6});
    const at::Tensor y = x.mul(0.5).add(1);
    here.add(x, y);
    there.add(x.to(device_under_test()), y.to(device_under_test()));
    if (tokens == 700) continue;
    part.add(x, y);
    here.merge(part);
    there.merge(part);
  }
  const auto compare = [&] {
    EXPECT_TRUE(there.hessian().is_cpu());
    EXPECT_TRUE(there.hessian().equal(here.hessian()));
    EXPECT_TRUE(there.hessian_rows(2, 5).equal(here.hessian().narrow(0, 2, 3)));
    EXPECT_TRUE(there.cross().equal(here.cross()));
    EXPECT_TRUE(there.channel_absmean().equal(here.channel_absmean()));
    EXPECT_EQ(there.tokens(), here.tokens());
  };
  compare();
  for (const Statistics* statistics : {&here, &there}) {
    EXPECT_EQ(statistics->hessian(device_under_test()).device(), device_under_test());
    EXPECT_TRUE(statistics->hessian(device_under_test()).cpu().equal(here.hessian()));
    EXPECT_TRUE(statistics->hessian_rows(2, 5, device_under_test()).cpu().equal(here.hessian().narrow(0, 2, 3)));
    EXPECT_TRUE(statistics->cross(device_under_test()).cpu().equal(here.cross()));
  }
  there.apply_diagonal(make_full({6}, 2.0, DType::kFloat32));
  here.apply_diagonal(make_full({6}, 2.0, DType::kFloat32));
  compare();
}

TEST(StatisticsOnOtherDevice, NameTheValueThatIsNotFinite) {
  StatisticsNeeds needs;
  needs.hessian = true;
  Statistics statistics(6, needs);
  at::Tensor x = make_zeros({4, 6}, DType::kFloat32);
  mutable_values_of<float>(x)[15] = INFINITY;
  try {
    statistics.add(x.to(device_under_test()));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "activation is not finite at calibration token 2, channel 3; the model is damaged or its numbers "
                 "overflow");
  }
}

// U^T U is the inverse: what is left of the product with the matrix, whose condition is below 1e4, is the identity.
TEST(FactorizationOnOtherDevice, GivesTheFactorOfTheInverse) {
  const at::Tensor x = make_arange(300 * 90, DType::kFloat32).mul(7).remainder(101).sub(50).div(50).view({300, 90});
  const at::Tensor matrix = gram(x).add(make_eye(90, DType::kFloat64));
  const at::Tensor there = inverse_upper_factor(matrix.to(device_under_test())).value();
  EXPECT_EQ(there.device(), device_under_test());
  EXPECT_TRUE(there.is_contiguous());
  const at::Tensor upper = there.cpu();
  EXPECT_TRUE(upper.tril(-1).eq(0).all().item<bool>());
  const at::Tensor left = upper.t().matmul(upper).matmul(matrix).sub(make_eye(90, DType::kFloat64));
  EXPECT_LE(left.abs().max().item<double>(), 1e-10);
  EXPECT_FALSE(inverse_upper_factor(make_eye(3, DType::kFloat64).mul(-1).to(device_under_test())).has_value());
}

}  // namespace
}  // namespace lowbit
