#include "quantization/activations/static_range.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

using Method = RangeOptions::Method;

at::Tensor heavy_tails(std::int64_t tokens, std::int64_t channels) {
  const Random random(5, "tails");
  std::vector<float> values;
  for (std::int64_t i = 0; i < tokens * channels; ++i) {
    const double normal = random.normal(static_cast<std::uint64_t>(i));
    values.push_back(static_cast<float>(normal * (i % 997 == 0 ? 30 : 1) + 0.1));
  }
  return tensor_of(std::span<const float>(values)).view({tokens, channels});
}

Statistics statistics_of(const at::Tensor& x, const RangeOptions& options) {
  Statistics statistics(x.size(1), options.needs());
  for (std::int64_t i = 0; i < 4; ++i) statistics.add(x.narrow(0, i * x.size(0) / 4, x.size(0) / 4));
  return statistics;
}

ActivationScheme per_tensor(int bits, Symmetry symmetry) {
  ActivationScheme scheme;
  scheme.bits = bits;
  scheme.symmetry = symmetry;
  scheme.per = ActivationScheme::Per::kTensor;
  return scheme;
}

double squared_error(const at::Tensor& x, const ActivationScheme& scheme, const StaticRange& range) {
  return to_dtype(round_input(x, scheme, range).sub(x), DType::kFloat64).square().mean().item<double>();
}

TEST(StaticRange, OfTheWholeRangeReachesItsEnds) {
  const at::Tensor x = heavy_tails(64, 32);
  const RangeOptions options;
  const StaticRange range = fit_range(per_tensor(8, Symmetry::kSymRestricted), options, statistics_of(x, options));
  EXPECT_FLOAT_EQ(range.scale, static_cast<float>(x.abs().max().item<double>() / 127));
  const StaticRange both = fit_range(per_tensor(8, Symmetry::kAsymmetric), options, statistics_of(x, options));
  EXPECT_FLOAT_EQ(both.scale, static_cast<float>((x.max().item<double>() - x.min().item<double>()) / 255));
}

TEST(StaticRange, OfAPercentileLeavesThatPartOutside) {
  const at::Tensor x = heavy_tails(256, 64);
  RangeOptions options;
  options.method = Method::kPercentile;
  options.percentile = 99;
  const StaticRange range = fit_range(per_tensor(8, Symmetry::kSymRestricted), options, statistics_of(x, options));
  const double outside = to_dtype(x.abs().gt(range.scale * 127.0 * 1.002), DType::kFloat64).mean().item<double>();
  const double inside = to_dtype(x.abs().gt(range.scale * 127.0 * 0.998), DType::kFloat64).mean().item<double>();
  EXPECT_LE(outside, 0.01);  // up to the width of a bin on either side
  EXPECT_GE(inside, 0.0099);
}

TEST(StaticRange, OfLeastErrorIsThatOfABruteForceSearchOnTheNumbersThemselves) {
  const at::Tensor x = heavy_tails(64, 64);
  RangeOptions options;
  options.method = Method::kMse;
  for (const int bits : {4, 8}) {
    for (const Symmetry symmetry : {Symmetry::kSymRestricted, Symmetry::kAsymmetric}) {
      const ActivationScheme scheme = per_tensor(bits, symmetry);
      const double found = squared_error(x, scheme, fit_range(scheme, options, statistics_of(x, options)));
      double least = 1e30;
      for (int i = 1; i <= 200; ++i) {
        const double shrink = i / 200.0;
        const StaticRange range = cover_range(scheme, x.min().item<double>() * shrink, x.max().item<double>() * shrink);
        least = std::min(least, squared_error(x, scheme, range));
      }
      // Between two outliers the error grows as the square of the scale, and candidates lie a factor of 0.97 apart.
      EXPECT_LE(found, least / (0.97 * 0.97)) << scheme.text();
      EXPECT_LT(found, squared_error(x, scheme, fit_range(scheme, {}, statistics_of(x, {})))) << scheme.text();
    }
  }
}

TEST(StaticRange, OfAHistogramHasTheErrorOfTheNumbers) {
  const at::Tensor x = heavy_tails(128, 64);
  RangeOptions options;
  options.method = Method::kMse;
  const auto bins = statistics_of(x, options).histogram().bins();
  const ActivationScheme scheme = per_tensor(4, Symmetry::kSymRestricted);
  const StaticRange range = cover_range(scheme, -8, 8);
  EXPECT_NEAR(rounding_error(scheme, range, bins), squared_error(x, scheme, range),
              0.005 * squared_error(x, scheme, range));
}

TEST(StaticRange, OfAMovingAverageWeighsTheLastSequencesMost) {
  Statistics statistics(2, {.chunk_range = true});
  for (const double top : {1.0, 3.0, 5.0}) {
    statistics.add(make_full({2, 2}, top, DType::kFloat32));
  }
  RangeOptions options;
  options.method = Method::kMovingAverage;
  options.momentum = 0.5;
  const StaticRange range = fit_range(per_tensor(8, Symmetry::kSymRestricted), options, statistics);
  EXPECT_FLOAT_EQ(range.scale, static_cast<float>((0.5 * (0.5 * 1 + 0.5 * 3) + 0.5 * 5) / 127));
}

}  // namespace
}  // namespace lowbit
