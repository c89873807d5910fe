#include "lowbit/tensor/factory.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Factory, KeepsTypesThroughEveryName) {
  const DType all[] = {DType::kFloat32, DType::kFloat64, DType::kFloat16,    DType::kBFloat16,
                       DType::kInt8,    DType::kUInt8,   DType::kInt16,      DType::kInt32,
                       DType::kInt64,   DType::kBool,    DType::kFloat8E4M3, DType::kFloat8E5M2};
  for (const DType type : all) {
    const at::Tensor tensor = make_zeros({2, 3}, type);
    EXPECT_EQ(dtype_of(tensor), type);
    EXPECT_EQ(bytes_of(tensor).size(), 6U * static_cast<unsigned>(dtype_bytes(type))) << dtype_name(type);
  }
}

TEST(Factory, ViewsForeignBytesAndKeepsTheirOwnerAlive) {
  auto numbers = std::make_shared<const std::array<float, 6>>(std::array<float, 6>{1, 2, 3, 4, 5, 6});
  const std::weak_ptr<const void> watch = numbers;
  at::Tensor view = view_bytes(std::as_bytes(std::span(*numbers)), {2, 3}, DType::kFloat32, numbers);
  numbers.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(view[1][2].item<float>(), 6.0F);
  view = at::Tensor();
  EXPECT_TRUE(watch.expired());
}

TEST(Factory, RefusesBytesThatDoNotFillTheShape) {
  const std::array<float, 5> numbers{};
  const auto view = [&](const Shape& shape) {
    return message_of([&] { (void)view_bytes(std::as_bytes(std::span(numbers)), shape, DType::kFloat32, nullptr); });
  };
  EXPECT_EQ(view({2, 3}), "a float32 tensor of shape [2, 3] takes 24 bytes, not 20");
  EXPECT_EQ(view({std::int64_t{1} << 40, std::int64_t{1} << 40}),
            "shape [1099511627776, 1099511627776] is not a tensor's");
  EXPECT_EQ(view({-1, 5}), "shape [-1, 5] is not a tensor's");
}

TEST(Factory, RefusesMisalignedBytes) {
  alignas(8) const std::array<std::byte, 9> bytes{};
  EXPECT_EQ(message_of([&] { (void)view_bytes(std::span(bytes).subspan(1, 8), {2}, DType::kFloat32, nullptr); }),
            "the bytes of a float32 tensor of shape [2] are not aligned");
}

TEST(Factory, RefusesElementsOfAnotherType) {
  const at::Tensor tensor = make_zeros({2}, DType::kFloat64);
  EXPECT_EQ(message_of([&] { (void)values_of<float>(tensor); }),
            "elements of type Float were asked of a tensor of Double");
}

}  // namespace
}  // namespace lowbit
