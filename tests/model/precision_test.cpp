// A model computed in float32 uses every bit of its weights.
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/model/model.h"
#include "model/small_model.h"
#include "support/changed_weights.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

// SmallModel's weights are multiples of 1/64 below 1: bfloat16 and TF32 hold them exactly, and round them times
// (1 + 2^-12) back to them. So a product that used either would not see this change of one tensor.
class FinerWeights : public testing::ChangedWeights {
 public:
  FinerWeights(std::shared_ptr<const WeightSource> base, std::string finer)
      : ChangedWeights(std::move(base)), finer_(std::move(finer)) {}
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override {
    const at::Tensor tensor = base().load(name, shape);
    return name == finer_ ? tensor.mul(1 + std::pow(2.0, -12)) : tensor;
  }

 private:
  std::string finer_;
};

at::Tensor logits(const std::shared_ptr<const WeightSource>& weights, const ComputeOptions& options) {
  const auto model = Model::make(weights, nullptr, options);
  const std::vector<std::int64_t> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  const at::Tensor input = tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0);
  return model->logits(model->run(model->embed(input)).flatten(0, 1));
}

TEST(Precision, OfEveryWeightOfAModelIsFloat32) {
  const testing::TemporaryFolder folder;
  const auto base = std::make_shared<testing::SmallModel>(folder.path());
  for (const bool deterministic : {true, false}) {
    ComputeOptions options;
    options.deterministic = deterministic;
    const at::Tensor plain = logits(base, options);
    for (const StoredTensor& tensor : base->tensors()) {
      const at::Tensor finer = logits(std::make_shared<FinerWeights>(base, tensor.name), options);
      EXPECT_FALSE(finer.equal(plain)) << tensor.name;
      EXPECT_TRUE(finer.allclose(plain, 0, 0.05 * plain.abs().max().item<double>())) << tensor.name;
    }
  }
}

// And bfloat16 is what it says: there the same changes are not seen.
TEST(Precision, OfEveryWeightOfAModelInBfloat16IsBfloat16) {
  const testing::TemporaryFolder folder;
  const auto base = std::make_shared<testing::SmallModel>(folder.path());
  ComputeOptions options;
  options.dtype = DType::kBFloat16;
  const at::Tensor plain = logits(base, options);
  for (const StoredTensor& tensor : base->tensors()) {
    EXPECT_TRUE(logits(std::make_shared<FinerWeights>(base, tensor.name), options).equal(plain)) << tensor.name;
  }
}

}  // namespace
}  // namespace lowbit
