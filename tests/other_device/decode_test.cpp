// Tokens that a packed model reads one by one on another device: the recorded kernels of a step, on the tests' model of
// a GPU, against blocks that run through the device's operators.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/model/decoder.h"
#include "lowbit/tensor/ops.h"
#include "other_device/stand_in.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

using testing::SmallModel;
using testing::SmallRun;

class StepOnOtherDevice : public ::testing::Test {
 protected:
  StepOnOtherDevice() { ::setenv("LOWBIT_CUDA_KERNELS", LOWBIT_EMULATED_CUDA, 1); }
  ~StepOnOtherDevice() override { ::unsetenv("LOWBIT_CUDA_KERNELS"); }

  /// The same weights, decoded, in float32 on the CPU.
  std::shared_ptr<Model> open_exact(const std::string& artifact) const {
    return Model::make(run_.artifact(artifact), nullptr, {}, Model::Residency::kResident,
                       runtime_readers(run_.registries));
  }
  std::shared_ptr<Model> open(const std::string& artifact, DType type = DType::kBFloat16) const {
    ComputeOptions options{.dtype = type, .deterministic = false};
    options.execution = Execution::kPacked;
    options.device = testing::stand_in();
    return Model::make(run_.artifact(artifact), nullptr, options, Model::Residency::kResident,
                       runtime_readers(run_.registries));
  }
  static at::Tensor ids(std::int64_t sequences, std::int64_t tokens) {
    return make_arange(sequences * tokens, DType::kInt64).mul(7).remainder(20).view({sequences, tokens});
  }
  SmallRun run_;

 private:
  testing::ReachableMemory reachable_;
};

// The same tokens through `Block::forward` and its caches.
class ByBlocks {
 public:
  explicit ByBlocks(const Model& model) : model_(model) {
    for (std::int64_t i = 0; i < model.architecture().layers; ++i) caches_.push_back(make_float_kv_cache(0));
  }
  at::Tensor read(const at::Tensor& part, std::int64_t limit) {
    at::Tensor hidden = model_.embed(part);
    for (std::size_t i = 0; i < caches_.size(); ++i) {
      hidden = model_.block(static_cast<std::int64_t>(i))->forward(hidden, model_.rope(limit), caches_[i].get());
    }
    return model_.logits(hidden.narrow(1, part.size(1) - 1, 1)).select(1, 0).cpu();
  }

 private:
  const Model& model_;
  std::vector<std::unique_ptr<KvCachePolicy>> caches_;
};

// The step rounds at fewer places than blocks do, by as much each time: over many logits its distance from what float32
// gives is no larger. By chance one of two sums of n squares of one size is larger than the other by some (4 / n)^0.5
// of it, of which four times as much is allowed.
class Distances {
 public:
  void add(const at::Tensor& found, const at::Tensor& by_blocks, const at::Tensor& exact) {
    of_step_ += found.sub(exact).pow(2).sum().item<double>();
    of_blocks_ += by_blocks.sub(exact).pow(2).sum().item<double>();
    size_ += exact.pow(2).sum().item<double>();
    count_ += static_cast<double>(exact.numel());
  }
  void expect_no_larger() const {
    EXPECT_LE(of_step_, of_blocks_ * (1 + 4 * std::sqrt(4 / count_)));
    EXPECT_LE(of_blocks_, size_ / 100);  // so that the line above says something
  }

 private:
  double of_step_ = 0;
  double of_blocks_ = 0;
  double size_ = 0;
  double count_ = 0;
};

TEST_F(StepOnOtherDevice, ReadsTokensAsBlocksDo) {
  const NoGradScope no_grad;
  run_.quantize("[{head: {bits: 8}}, {rtn: {bits: 4, group: 16}}]", "four");
  run_.quantize("[{gptq: {bits: 3, group: 8, act_order: true}}]", "moved");
  run_.quantize("[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]", "bytes");
  run_.quantize("[{gptq: {bits: 4, group: 16, act_order: true}}, {activations: {bits: 8}}]", "moved_bytes");
  for (const char* artifact : {"four", "moved", "bytes", "moved_bytes"}) {
    const auto model = open(artifact);
    const auto exact_model = open_exact(artifact);
    Distances distances;
    for (const std::int64_t sequences : {1, 3}) {
      const at::Tensor all = ids(sequences, 12);
      Decoder decoder(*model, sequences, 12);
      EXPECT_EQ(decoder.detour(), "");
      ByBlocks blocks(*model);
      ByBlocks exact(*exact_model);
      std::int64_t begin = 0;
      for (const std::int64_t tokens : {5, 1, 1, 3, 1, 1}) {
        const at::Tensor part = all.narrow(1, begin, tokens);
        distances.add(decoder.read(part, {}), blocks.read(part, 12), exact.read(part, 12));
        begin += tokens;
      }
      EXPECT_EQ(decoder.length(), 12);
      EXPECT_EQ(decoder.cache_bytes(), 2 * 2 * sequences * 12 * SmallModel::kHidden * 2);
    }
    distances.expect_no_larger();
  }
}

// Attention deals 64 tokens to a part; the graph was recorded at position 0.
TEST_F(StepOnOtherDevice, ReadsOverTheEdgeOfAPart) {
  const NoGradScope no_grad;
  run_.quantize("[{rtn: {bits: 4, group: 16}}]", "four");
  const auto model = open("four");
  const at::Tensor all = ids(1, 66);
  Decoder decoder(*model, 1, 66);
  ByBlocks blocks(*model);
  const auto exact_model = open_exact("four");
  ByBlocks exact(*exact_model);
  Distances distances;
  for (const auto& [begin, tokens] : {std::pair(0, 62), std::pair(62, 1), std::pair(63, 1), std::pair(64, 1)}) {
    const at::Tensor part = all.narrow(1, begin, tokens);
    distances.add(decoder.read(part, {}), blocks.read(part, 66), exact.read(part, 66));
  }
  distances.expect_no_larger();
}

// A token has the bits that it has in any batch: kernels of the step never look at other sequences.
TEST_F(StepOnOtherDevice, HasTheSameBitsInAnyBatch) {
  const NoGradScope no_grad;
  run_.quantize("[{head: {bits: 8}}, {rtn: {bits: 4, group: 16}}]", "four");
  run_.quantize("[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]", "bytes");
  for (const char* artifact : {"four", "bytes"}) {
    const auto model = open(artifact);
    const at::Tensor all = ids(9, 3);
    Decoder together(*model, 9, 3);
    Decoder alone(*model, 1, 3);
    EXPECT_EQ(together.detour(), "");
    for (std::int64_t token = 0; token < 3; ++token) {
      const at::Tensor logits = together.read(all.narrow(1, token, 1), {});
      EXPECT_TRUE(alone.read(all.narrow(0, 4, 1).narrow(1, token, 1), {}).equal(logits.narrow(0, 4, 1))) << artifact;
    }
  }
}

TEST_F(StepOnOtherDevice, SaysWhyItGoesThroughLibTorch) {
  run_.quantize("[{rtn: {bits: 4, group: 16}}]", "four");
  run_.quantize("[{rtn: {bits: 4, group: 16}}, {kv_cache: {bits: 4, group: 8}}]", "rounds");
  run_.quantize("[{rtn: {format: e4m3}}, {activations: {type: fp8}}]", "float8");
  EXPECT_THAT(Decoder(*open("float8"), 1, 8).detour(),
              ::testing::EndsWith("' is packed neither for bfloat16 inputs nor for integers of 8 bits"));
  EXPECT_EQ(Decoder(*open("four", DType::kFloat32), 1, 8).detour(), "activations are not bfloat16");
  EXPECT_EQ(Decoder(*open("four"), 65, 8).detour(), "65 sequences are read at once, more than 64");
  EXPECT_EQ(Decoder(*open("rounds"), 1, 8).detour(), "the model's cache does not keep keys and values as they come");
}

}  // namespace
}  // namespace lowbit
