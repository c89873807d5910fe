// Other devices than the CPU compute with functional ATen alone. No machine of these tests has one, so two stand-ins
// prove the path: gradients that are recorded send CPU tensors down it, and meta tensors, which have shapes and no
// data, fail wherever a pointer into main memory would be taken.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include "lowbit/base/error.h"
#include "lowbit/tensor/ops.h"
#include "model/small_model.h"
#include "model_cases.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

at::Tensor ids_of(const std::string& name) {
  const Json reference = read_json(golden_model(name) / "reference.json");
  return ids_tensor(reference["ids"].get<std::vector<std::vector<std::int64_t>>>());
}

// Operators whose shape functions LibTorch registers from Python only.
at::Tensor shape_of_index_select(const at::Tensor& self, std::int64_t dimension, const at::Tensor& index) {
  Shape shape = shape_of(self);
  shape[static_cast<std::size_t>(dimension)] = index.numel();
  return self.new_empty(shape);
}
at::Tensor shape_of_where(const at::Tensor& condition, const at::Tensor& self, const at::Tensor& other) {
  return self.add(other).mul(condition);
}
at::Tensor& shape_of_where_out(const at::Tensor&, const at::Tensor&, const at::Tensor&, at::Tensor& out) { return out; }
TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("index_select", &shape_of_index_select);
  library.impl("where.self", &shape_of_where);
  library.impl("where.self_out", &shape_of_where_out);
}

// The whole sequence in one pass, or piece by piece with a cache.
at::Tensor logits_by(const Model& model, const at::Tensor& ids, bool cached,
                     const std::function<void(at::Tensor&)>& mark) {
  std::vector<std::unique_ptr<KvCachePolicy>> caches;
  for (std::int64_t i = 0; i < model.architecture().layers; ++i) caches.push_back(make_float_kv_cache(0));
  std::vector<at::Tensor> parts;
  std::int64_t position = 0;
  for (const std::int64_t count : cached ? std::vector<std::int64_t>{5, 1, 3, 1, 2} : std::vector{ids.size(1)}) {
    at::Tensor hidden = model.embed(ids.narrow(1, position, count)).clone();
    mark(hidden);
    for (std::size_t i = 0; i < caches.size(); ++i) {
      const auto block = model.block(static_cast<std::int64_t>(i));
      hidden = block->forward(hidden, model.rope(ids.size(1)), cached ? caches[i].get() : nullptr);
    }
    parts.push_back(model.logits(hidden));
    position += count;
  }
  return concatenate(parts, 1);
}

class OtherDevice : public ::testing::TestWithParam<std::string> {};

// Both paths compute the same sums in another order. In float32 that is the tolerance against transformers, 3e-5; in
// bfloat16 each is within the distance from float32 that `InBfloat16StaysNearFloat32` derives, so they differ by twice
// that.
TEST_P(OtherDevice, ComputesWhatTheCpuComputes) {
  const at::Tensor ids = ids_of(GetParam());
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = open_without_tokenizer(golden_model(GetParam()), {.dtype = type});
    for (const bool cached : {false, true}) {
      const at::Tensor expected = logits_by(*model, ids, cached, [](at::Tensor&) {});
      ASSERT_FALSE(expected.requires_grad());
      const at::Tensor functional = logits_by(*model, ids, cached, [](at::Tensor& x) { x.requires_grad_(true); });
      ASSERT_TRUE(functional.requires_grad());
      const at::Tensor difference = functional.detach().sub(expected);
      if (type == DType::kFloat32) {
        EXPECT_LE(difference.abs().max().item<double>(), 3e-5) << cached;
      } else {
        const double size = expected.pow(2).mean().sqrt().item<double>();
        EXPECT_LE(difference.pow(2).mean().sqrt().item<double>(), 2 * (0.05 * size + 0.02)) << cached;
      }
    }
  }
}

TEST_P(OtherDevice, RunsWholeWithoutTouchingData) {
  const at::Tensor ids = ids_of(GetParam());
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const ComputeOptions options{.dtype = type, .deterministic = false, .device = at::kMeta};
    for (const auto residency : {Model::Residency::kResident, Model::Residency::kStreamed}) {
      const auto model = open_without_tokenizer(golden_model(GetParam()), options, residency);
      for (const bool cached : {false, true}) {
        const at::Tensor logits =
            logits_by(*model, ids, cached, [](at::Tensor& hidden) { EXPECT_TRUE(hidden.is_meta()); });
        EXPECT_TRUE(logits.is_meta());
        EXPECT_EQ(shape_of(logits), (Shape{ids.size(0), ids.size(1), model->architecture().vocabulary}));
        EXPECT_EQ(dtype_of(logits), DType::kFloat32);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, OtherDevice, ::testing::ValuesIn(golden_models()), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

// A generation step reads the prompt, keeps keys and values and computes logits on the device; what fails is the copy
// of the logits into main memory, which meta tensors cannot serve and from which sampling goes on.
TEST(OtherDevice, GeneratesUpToTheCopyOfTheLogits) {
  const auto model = Model::make(open_weights(golden_model("gqa-tied-sharded")), std::make_unique<NoTokenizer>(),
                                 {.deterministic = false, .device = at::kMeta});
  const std::vector<TokenId> prompt = {1, 5, 9};
  std::string message;
  try {
    guard_torch([&] { (void)generate(*model, prompt, {.ignore_eos = true}, Cancellation()); });
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, ::testing::HasSubstr("Cannot copy out of meta tensor"));
}

TEST(OtherDevice, PromisesNoDeterminism) {
  const std::string expected =
      "deterministic results are promised on 'cpu' only; set 'deterministic: false' to compute on 'meta'";
  const auto open = [] { (void)open_without_tokenizer(golden_model("rope-linear"), {.device = at::kMeta}); };
  EXPECT_EQ(error_text(ErrorCode::kUnsupported, open), expected);
}

}  // namespace
}  // namespace lowbit
