#include "quantization/activations/input_rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

using Per = ActivationScheme::Per;

at::Tensor random_input(std::int64_t tokens, std::int64_t channels, std::uint64_t seed = 1) {
  const Random random(seed, "input");
  std::vector<float> values;
  for (std::int64_t i = 0; i < tokens * channels; ++i) {
    values.push_back(
        static_cast<float>(random.normal(static_cast<std::uint64_t>(i)) * (i % channels == 2 ? 20 : 1) + 0.3));
  }
  return tensor_of(std::span<const float>(values)).view({tokens, channels});
}

// The definition, a number after the other in float32.
void round_span(std::vector<float>& x, std::size_t begin, std::size_t end, const ActivationScheme& scheme) {
  const auto half = static_cast<float>(1 << (scheme.bits - 1));
  float low = 0, high = 0;
  for (std::size_t i = begin; i < end; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const bool asymmetric = scheme.symmetry == Symmetry::kAsymmetric;
  const float most = std::max(-low, high);
  float scale = asymmetric                                ? (high - low) / (2 * half - 1)
                : scheme.symmetry == Symmetry::kSymOffset ? most / (half - 0.5F)
                                                          : most / (half - 1);
  if (scale == 0) scale = 1;
  const float zero = asymmetric ? std::nearbyint(-low / scale) - half : 0;
  const float least = scheme.symmetry == Symmetry::kSymRestricted ? 1 - half : -half;
  for (std::size_t i = begin; i < end; ++i) {
    const float code = std::clamp(std::nearbyint(x[i] / scale) + zero, least, half - 1);
    x[i] = (code - zero) * scale;
  }
}

TEST(InputRounding, IsTheDefinitionBitForBit) {
  const std::int64_t channels = 12;
  const at::Tensor x = random_input(7, channels);
  for (const int bits : {2, 4, 8}) {
    for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymRestricted}) {
      for (const std::int64_t group : {std::int64_t{12}, std::int64_t{5}, std::int64_t{4}, std::int64_t{40}}) {
        ActivationScheme scheme;
        scheme.bits = bits;
        scheme.symmetry = symmetry;
        scheme.per = group == 12 ? Per::kToken : Per::kGroup;
        scheme.group = group;
        const auto values = values_of<float>(x);
        std::vector<float> expected(values.begin(), values.end());
        for (std::int64_t row = 0; row < 7; ++row) {
          for (std::int64_t begin = 0; begin < channels; begin += group) {
            const std::int64_t end = std::min(begin + group, channels);
            round_span(expected, static_cast<std::size_t>(row * channels + begin),
                       static_cast<std::size_t>(row * channels + end), scheme);
          }
        }
        const at::Tensor found = round_input(x, scheme);
        EXPECT_TRUE(found.equal(tensor_of(std::span<const float>(expected)).view({7, channels}))) << scheme.text();
      }
    }
  }
}

TEST(InputRounding, OfATokenDependsOnNoOther) {
  const at::Tensor x = random_input(9, 16);
  for (const Per per : {Per::kToken, Per::kGroup}) {
    ActivationScheme scheme;
    scheme.per = per;
    scheme.group = 5;
    const at::Tensor all = round_input(x.unsqueeze(0), scheme);
    for (std::int64_t row = 0; row < 9; ++row) {
      EXPECT_TRUE(round_input(x.narrow(0, row, 1), scheme).equal(all.select(0, 0).narrow(0, row, 1)));
    }
  }
}

TEST(InputRounding, KeepsZeros) {
  const at::Tensor x = random_input(3, 8).mul_(make_arange(8, DType::kFloat32).gt(2));
  for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymRestricted}) {
    ActivationScheme scheme;
    scheme.symmetry = symmetry;
    scheme.bits = 4;
    EXPECT_TRUE(round_input(x, scheme).narrow(1, 0, 3).eq(0).all().item<bool>()) << scheme.text();
    EXPECT_TRUE(round_input(make_zeros({2, 8}, DType::kFloat32), scheme).eq(0).all().item<bool>());
  }
}

TEST(InputRounding, ToFloat8LosesAtMostASixteenthOfANumber) {
  ActivationScheme scheme;
  scheme.type = ActivationScheme::Type::kFloat8;
  const at::Tensor x = random_input(6, 32);
  const at::Tensor found = round_input(x, scheme);
  // 3 bits of mantissa: half a unit in the last place is 2^-4 of the number; below the normal range 2^-10 of the scale.
  const at::Tensor scale = x.abs().amax({-1}, true).div(448);
  EXPECT_TRUE(
      found.sub(x).abs().le(x.abs().div(16).maximum(scale.mul(std::ldexp(1.0, -10))).mul(1 + 1e-6)).all().item<bool>());
  EXPECT_TRUE(found.abs().amax({-1}).allclose(x.abs().amax({-1}), 1e-6)) << "the largest number is a code";
}

TEST(InputRounding, ClipsToAStaticRange) {
  ActivationScheme scheme;
  scheme.per = Per::kTensor;
  scheme.bits = 4;
  const StaticRange symmetric = cover_range(scheme, -1.0, 7.0);
  EXPECT_EQ(symmetric.scale, 1.0F);
  const std::vector<float> values = {-9.0F, -0.6F, 0.4F, 2.5F, 100.0F};
  const at::Tensor x = tensor_of(std::span<const float>(values)).view({1, -1});
  const std::vector<float> expected = {-7.0F, -1.0F, 0.0F, 2.0F, 7.0F};
  EXPECT_TRUE(round_input(x, scheme, symmetric).equal(tensor_of(std::span<const float>(expected)).view({1, -1})));

  scheme.symmetry = Symmetry::kAsymmetric;
  const StaticRange asymmetric = cover_range(scheme, -5.0, 10.0);
  EXPECT_EQ(asymmetric.scale, 1.0F);
  EXPECT_EQ(asymmetric.zero, 5 - 8);
  const std::vector<float> clipped = {-5.0F, -1.0F, 0.0F, 2.0F, 10.0F};
  EXPECT_TRUE(round_input(x, scheme, asymmetric).equal(tensor_of(std::span<const float>(clipped)).view({1, -1})));
}

TEST(InputRounding, KeepsTheTypeOfItsInput) {
  const at::Tensor x = to_dtype(random_input(2, 8), DType::kBFloat16);
  EXPECT_EQ(dtype_of(round_input(x, ActivationScheme())), DType::kBFloat16);
}

}  // namespace
}  // namespace lowbit
