// Whole models on a device that is not the CPU, with the results of the CPU's functional operators. What takes a
// pointer into the other device's memory for one of its own ends the process.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lowbit/tensor/ops.h"
#include "model/model_cases.h"
#include "other_device/device_under_test.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

class ForwardOnOtherDevice : public ::testing::TestWithParam<std::string> {};

at::Tensor ids_of(const std::string& name) {
  const Json reference = read_json(golden_model(name) / "reference.json");
  return ids_tensor(reference["ids"].get<std::vector<std::vector<std::int64_t>>>());
}

// The same float32 sums in another order: the tolerance that the forward pass keeps beside transformers.
TEST_P(ForwardOnOtherDevice, GivesTheCpusLogits) {
  const NoGradScope no_grad;
  const at::Tensor ids = ids_of(GetParam());
  const at::Tensor expected = logits_of(*open_without_tokenizer(golden_model(GetParam())), ids);
  const ComputeOptions options{.deterministic = false, .device = device_under_test()};
  const auto model = open_without_tokenizer(golden_model(GetParam()), options);
  const at::Tensor found = logits_of(*model, ids);
  ASSERT_EQ(found.device(), device_under_test());
  EXPECT_LE(found.cpu().sub(expected).abs().max().item<double>(), 3e-5);
}

INSTANTIATE_TEST_SUITE_P(Folders, ForwardOnOtherDevice, ::testing::ValuesIn(golden_models()), [](const auto& folder) {
  std::string name = folder.param;
  std::erase(name, '-');
  return name;
});

TEST(StandInDevice, KeepsItsMemoryToItself) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // LibTorch has threads
  const at::Tensor here = make_arange(6, DType::kFloat32).view({2, 3});
  const at::Tensor there = here.to(device_under_test());
  EXPECT_EQ(there.device(), device_under_test());
  EXPECT_TRUE(there.t().add(1).cpu().equal(here.t().add(1)));
  EXPECT_DEATH((void)*static_cast<const volatile float*>(there.const_data_ptr()), "");
}

}  // namespace
}  // namespace lowbit
