#include "lowbit/tensor/rotary.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::random_tensor;
using testing::ThreadCount;

TEST(RotatePairs, TurnsEachPairByItsAngleWithTheSameBitsForAnyThreads) {
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const at::Tensor rows = random_tensor({2, 300, 3, 8}, type, "x");
    const at::Tensor angles = random_tensor({300, 4}, DType::kFloat32, "angles");
    const at::Tensor both = concatenate({angles, angles}, 1);
    const at::Tensor cos = to_dtype(both.cos(), type);
    const at::Tensor sin = to_dtype(both.sin(), type);
    const at::Tensor x = rows.transpose(1, 2);
    const at::Tensor first = x.narrow(3, 0, 4);
    const at::Tensor second = x.narrow(3, 4, 4);
    const at::Tensor c = cos.narrow(1, 0, 4);
    const at::Tensor s = sin.narrow(1, 0, 4);
    const at::Tensor expected =
        concatenate({first.mul(c).add(second.neg().mul(s)), second.mul(c).add(first.mul(s))}, 3);
    const ThreadCount two(2);
    EXPECT_TRUE(rotate_pairs(x, cos, sin).equal(expected));
    const ThreadCount one(1);
    EXPECT_TRUE(rotate_pairs(x.contiguous(), cos, sin).equal(expected));
  }
}

TEST(RotatePairs, RefusesTablesOfAnotherLength) {
  const at::Tensor x = make_zeros({1, 2, 5, 8}, DType::kFloat32);
  const at::Tensor table = make_zeros({4, 8}, DType::kFloat32);
  try {
    (void)rotate_pairs(x, table, table);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rotate_pairs: input [1, 2, 5, 8] does not go with tables [4, 8] and [4, 8]");
  }
}

}  // namespace
}  // namespace lowbit
