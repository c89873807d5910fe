#include "lowbit/tensor/device.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "support/error_text.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::error_text;

TEST(ComputeDevice, KnowsItsNames) {
  EXPECT_TRUE(compute_device("cpu").is_cpu());
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "cuda:999"}) {
    EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)compute_device(name); }),
              fmt::format("device '{}' is not known, expected 'cpu', 'cuda' or 'cuda:<number>'", name));
  }
}

TEST(ComputeDevice, SaysWhatTheOneThatIsAskedForLacks) {
  try {
    GTEST_SKIP() << "this machine has " << compute_device("cuda:127").str();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_THAT(error.what(), ::testing::StartsWith("device 'cuda:127' was asked for, and LibTorch"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'cpu'"));
  }
}

TEST(ToPlace, ReturnsTheTensorItselfWhenItIsThere) {
  const at::Tensor x = make_zeros({2}, DType::kFloat32);
  EXPECT_TRUE(to_place(x, DType::kFloat32, at::kCPU).is_same(x));
  EXPECT_TRUE(to_place(x, DType::kBFloat16, at::kMeta).is_meta());
}

}  // namespace
}  // namespace lowbit
