#include "lowbit/tensor/rotation.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "support/error_text.h"
#include "tensor/hadamard.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::random_tensor;
using testing::ThreadCount;

double largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

TEST(Paley, GivesHadamardMatrices) {
  for (const std::int64_t order : {4, 8, 12, 20, 24, 28, 36, 44, 48, 52, 60, 68, 76, 84, 100, 108, 140, 148, 164}) {
    const RotationCore core = paley_construction(order);
    ASSERT_NE(core, RotationCore::kNone) << order;
    const std::vector<double> entries = core_matrix(core, order, 0);
    for (const double entry : entries) ASSERT_EQ(std::abs(entry), 1.0) << order;
    const at::Tensor h = tensor_of(std::span<const double>(entries)).view({order, order});
    EXPECT_TRUE(h.matmul(h.t()).equal(make_eye(order, DType::kFloat64).mul(static_cast<double>(order)))) << order;
  }
}

// 92, 116 and 172 need other constructions; the others have no Hadamard matrix at all.
TEST(Paley, KnowsWhereItGivesNone) {
  for (const std::int64_t order : {1, 2, 6, 9, 18, 92, 116, 172}) {
    EXPECT_EQ(paley_construction(order), RotationCore::kNone) << order;
  }
}

TEST(Rotation, TakesTheSmallestHadamardCoreOrElseAnOrthonormalOne) {
  EXPECT_EQ(rotation_text(rotation_for(64, 0, false), 64), "Hadamard 64");
  EXPECT_EQ(rotation_text(rotation_for(576, 0, true), 576), "Hadamard 36 (Paley II) x 16, signs of seed 0");
  EXPECT_EQ(rotation_text(rotation_for(1536, 0, false), 1536), "Hadamard 12 (Paley I) x 128");
  EXPECT_EQ(rotation_text(rotation_for(14336, 0, false), 14336), "Hadamard 28 (Paley II) x 512");
  EXPECT_EQ(rotation_text(rotation_for(9, 5, false), 9), "orthonormal 9 (seed 5) x 1");
  EXPECT_EQ(rotation_text(rotation_for(11008, 0, false), 11008), "orthonormal 43 (seed 0) x 256");
}

TEST(Rotation, IsOrthonormal) {
  for (const std::int64_t n : {1, 2, 6, 12, 40, 44, 72, 86, 576}) {
    for (const bool signs : {false, true}) {
      const at::Tensor q = Rotation(rotation_for(n, 3, signs), n).matrix();
      EXPECT_LE(largest(q.t().matmul(q).sub(make_eye(n, DType::kFloat64))), 1e-13) << n;
    }
  }
}

// A row's sum has n terms whose rounding errors add up to at most log2(n) + core_order roundings of the row's norm.
TEST(Rotation, IsTheProductWithItsMatrix) {
  for (const std::int64_t n : {2, 6, 12, 44, 86, 576, 1536}) {
    const RotationSpec spec = rotation_for(n, 3, true);
    const Rotation rotation(spec, n);
    const double roundings = std::log2(static_cast<double>(n)) + static_cast<double>(spec.core_order) + 2;
    const at::Tensor x = random_tensor({2, 3, n}, DType::kFloat64, "x");
    const at::Tensor expected = x.matmul(rotation.matrix());
    const double norm = x.norm().item<double>();
    EXPECT_LE(largest(rotation.apply(x).sub(expected)), roundings * norm * std::pow(2.0, -53)) << n;
    const at::Tensor narrow = rotation.apply(x.to(at::kFloat));
    EXPECT_EQ(narrow.scalar_type(), at::kFloat);
    EXPECT_LE(largest(narrow.to(at::kDouble).sub(expected)), roundings * norm * std::pow(2.0, -24)) << n;
    const at::Tensor rough = rotation.apply(x.to(at::kBFloat16));
    EXPECT_EQ(rough.scalar_type(), at::kBFloat16);
    EXPECT_LE(largest(rough.to(at::kDouble).sub(expected)), norm * std::pow(2.0, -8)) << n;
  }
}

TEST(Rotation, HasTheSameBitsForAnyBatchAndThreads) {
  const Rotation rotation(rotation_for(1536, 0, false), 1536);
  const at::Tensor x = random_tensor({70, 1536}, DType::kFloat32, "x");
  const ThreadCount two(2);
  const at::Tensor expected = rotation.apply(x);
  EXPECT_TRUE(rotation.apply(x.narrow(0, 33, 1)).equal(expected.narrow(0, 33, 1)));
  const ThreadCount one(1);
  EXPECT_TRUE(rotation.apply(x).equal(expected));
}

// The functional path is that of other devices and of gradients, which for a linear map are the product with Q^T.
TEST(Rotation, LetsGradientsThrough) {
  for (const std::int64_t n : {8, 12, 86}) {
    const Rotation rotation(rotation_for(n, 1, true), n);
    at::Tensor x = random_tensor({5, n}, DType::kFloat32, "x").requires_grad_(true);
    const at::Tensor out = rotation.apply(x);
    EXPECT_LE(largest(out.detach().sub(rotation.apply(x.detach()))), 1e-5) << n;
    const at::Tensor weights = random_tensor({5, n}, DType::kFloat32, "weights");
    out.mul(weights).sum().backward();
    const at::Tensor expected = weights.matmul(rotation.matrix().t().to(at::kFloat));
    EXPECT_LE(largest(x.grad().sub(expected)), 1e-5) << n;
  }
}

TEST(Rotation, NamesWhatAFileGetsWrong) {
  EXPECT_EQ(rotation_problem({RotationCore::kPaley1, 12, 0, false}, 1536), "");
  EXPECT_EQ(rotation_problem({RotationCore::kPaley1, 12, 0, false}, 36),
            "a core of order 12 times no power of two is 36");
  EXPECT_EQ(rotation_problem({RotationCore::kPaley1, 36, 0, false}, 36),
            "a core 'paley1' of order 36, which does not exist");
  EXPECT_EQ(rotation_problem({RotationCore::kNone, 3, 0, false}, 12), "a core 'none' of order 3, which does not exist");
  EXPECT_EQ(rotation_problem({RotationCore::kOrthonormal, 1 << 20, 0, false}, 1 << 20),
            "a core of order 1048576, expected 1 to 512");
  EXPECT_EQ(testing::error_text(ErrorCode::kUnsupported, [] { (void)rotation_for(1021, 0, false); }),
            "no rotation of order 1021: its odd part 1021 is beyond 512");
}

}  // namespace
}  // namespace lowbit
