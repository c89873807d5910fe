// A recorded step of models with groups of query heads, biases and a window; what is recorded how often; and a step
// whose kernels do not do what they should. On the tests' model of a GPU.
#include <ATen/core/Tensor.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>

#include "lowbit/model/decoder.h"
#include "lowbit/tensor/ops.h"
#include "other_device/counting_cuda.h"
#include "other_device/grouped_model.h"
#include "other_device/stand_in.h"
#include "quantization/small_run.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::CudaCounts;
using testing::GroupedModel;
using testing::ThroughAWindow;

CudaCounts& counts() {
  static CudaCounts* found = [] {
    void* library = ::dlopen(LOWBIT_COUNTING_CUDA, RTLD_NOW | RTLD_LOCAL);
    return reinterpret_cast<CudaCounts* (*)()>(::dlsym(library, testing::kCountsSymbol))();
  }();
  return *found;
}

class StepForms : public ::testing::Test {
 protected:
  StepForms() {
    ::setenv("LOWBIT_CUDA_KERNELS", LOWBIT_COUNTING_CUDA, 1);
    counts() = CudaCounts{};
    const auto source = std::make_shared<GroupedModel>(folder_ / "base");
    auto model = Model::make(source, std::make_unique<testing::NoTokenizer>(), {}, Model::Residency::kResident,
                             runtime_readers(registries_));
    const auto recipe = testing::recipe_of("[{head: {bits: 8}}, {rtn: {bits: 4, group: 16}}]", registries_);
    (void)quantize({std::move(model), recipe, nullptr, 0, folder_ / "four"}, *silent_progress(), Cancellation());
  }
  ~StepForms() override { ::unsetenv("LOWBIT_CUDA_KERNELS"); }

  [[nodiscard]] std::shared_ptr<Model> open(std::int64_t window, bool packed = true) const {
    ComputeOptions options;
    if (packed) {
      options = {.dtype = DType::kBFloat16, .deterministic = false};
      options.execution = Execution::kPacked;
      options.device = testing::stand_in();
    }
    const auto weights = std::make_shared<ThroughAWindow>(open_weights(folder_ / "four"), window);
    return Model::make(weights, nullptr, options, Model::Residency::kResident, runtime_readers(registries_));
  }
  static at::Tensor ids(std::int64_t sequences, std::int64_t tokens) {
    return make_arange(sequences * tokens, DType::kInt64).mul(7).remainder(20).view({sequences, tokens});
  }

 private:
  testing::TemporaryFolder folder_;
  QuantizationRegistries registries_ = builtin_quantization();
  testing::ReachableMemory reachable_;
};

// Against the same weights in float32 on the CPU. A model of two blocks rounds some twenty times by at most 2^-9 of
// what is rounded; a window or a bias that was forgotten is off by a good part of the numbers.
TEST_F(StepForms, ReadsGroupsOfHeadsWithBiasesThroughAWindow) {
  const NoGradScope no_grad;
  for (const std::int64_t window : {3, 66}) {
    const auto model = open(window);
    const auto exact_model = open(window, false);
    const at::Tensor all = ids(2, 72);
    Decoder decoder(*model, 2, 72);
    Decoder exact(*exact_model, 2, 72);
    EXPECT_EQ(decoder.detour(), "");
    double off = 0;
    double size = 0;
    for (const auto& [begin, tokens] : {std::pair(0, 2), std::pair(2, 1), std::pair(3, 1), std::pair(4, 64),
                                        std::pair(68, 1), std::pair(69, 1), std::pair(70, 1)}) {
      const at::Tensor part = all.narrow(1, begin, tokens);
      const at::Tensor found = decoder.read(part, {});
      const at::Tensor expected = exact.read(part, {});
      if (tokens > 1) continue;
      off += found.sub(expected).pow(2).sum().item<double>();
      size += expected.pow(2).sum().item<double>();
    }
    EXPECT_LE(std::sqrt(off / size), 20 * 0x1p-9) << "window " << window;
  }
}

// What differs between tokens lies in the device's memory; what a recorded graph holds is a decoder's own.
TEST_F(StepForms, RecordsAStepOnceForADecoder) {
  const NoGradScope no_grad;
  const auto model = open(0);
  const at::Tensor all = ids(3, 12);
  Decoder decoder(*model, 1, 12);
  EXPECT_EQ(counts().recorded, 1);
  (void)decoder.read(all.narrow(0, 0, 1).narrow(1, 0, 5), {});
  EXPECT_EQ(counts().replayed, 0);  // a prompt goes through the blocks
  for (std::int64_t token = 5; token < 12; ++token) (void)decoder.read(all.narrow(0, 0, 1).narrow(1, token, 1), {});
  EXPECT_EQ(counts().recorded, 1);
  EXPECT_EQ(counts().replayed, 7);
  Decoder of_three(*model, 3, 12);
  EXPECT_EQ(counts().recorded, 2);
  (void)of_three.read(all.narrow(1, 0, 1), {});
  Decoder longer(*model, 1, 64);
  EXPECT_EQ(counts().recorded, 3);
  EXPECT_EQ(counts().replayed, 8);
}

TEST_F(StepForms, SaysThatTheFirstTokenReadBothWaysDiffers) {
  const NoGradScope no_grad;
  const auto model = open(0);
  counts().gates_nothing = true;
  Decoder decoder(*model, 1, 8);
  (void)decoder.read(ids(1, 3), {});
  const std::string text = testing::error_text(ErrorCode::kCellFailed, [&] { (void)decoder.read(ids(1, 1), {}); });
  EXPECT_THAT(text, ::testing::MatchesRegex("decode on 'privateuseone:0': the recorded step's numbers are off by "
                                            "[0-9.]+ of the blocks' own, expected at most 0.1; 'execution: simulated' "
                                            "does without it"));
  counts().gates_nothing = false;
  Decoder again(*model, 1, 8);
  (void)again.read(ids(1, 1), {});
}

}  // namespace
}  // namespace lowbit
