#include "lowbit/calibration/statistics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

constexpr std::int64_t kChannels = 12;
constexpr StatisticsNeeds kAll{.hessian = true, .cross = true, .channel_range = true, .sample_tokens = 20};

at::Tensor random_rows(std::int64_t rows, std::uint64_t seed) {
  const Random random(seed, "rows");
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * kChannels; ++i) {
    values.push_back(static_cast<float>(random.normal(static_cast<std::uint64_t>(i))));
  }
  return tensor_of(std::span<const float>(values)).view({rows, kChannels});
}

void expect_same_bits(const Statistics& a, const Statistics& b) {
  EXPECT_EQ(a.tokens(), b.tokens());
  EXPECT_TRUE(a.hessian().equal(b.hessian()));
  EXPECT_TRUE(a.cross().equal(b.cross()));
  EXPECT_TRUE(a.channel_min().equal(b.channel_min()));
  EXPECT_TRUE(a.channel_max().equal(b.channel_max()));
  EXPECT_TRUE(a.channel_absmean().equal(b.channel_absmean()));
  EXPECT_TRUE(a.sample().equal(b.sample()));
}

template <typename Action>
std::string error_of(ErrorCode code, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "no error";
}

TEST(Statistics, EqualTheirDefinitions) {
  Statistics statistics(kChannels, kAll);
  const at::Tensor x = random_rows(50, 1);
  const at::Tensor x_float = random_rows(50, 2);
  statistics.add(x, x_float);
  const at::Tensor wide = x.to(at::kDouble);
  // Products of 50 float32 rows: the error of an entry is below 50 * 2^-24 * sum |x_i x_j| <= 50 * 2^-24 * 50 * 4^2,
  // times 2/50.
  const double tolerance = 50 * std::ldexp(1.0, -24) * 50 * 16 * 2 / 50;
  EXPECT_TRUE(statistics.hessian().allclose(wide.t().matmul(wide).mul(2.0 / 50), 0, tolerance));
  EXPECT_TRUE(
      statistics.cross().allclose(x_float.to(at::kDouble).sub(wide).t().matmul(wide).mul(2.0 / 50), 0, 4 * tolerance));
  EXPECT_TRUE(statistics.channel_min().equal(x.amin(0)));
  EXPECT_TRUE(statistics.channel_max().equal(x.amax(0)));
  EXPECT_TRUE(statistics.channel_absmax().equal(x.abs().amax(0)));
  EXPECT_TRUE(statistics.channel_absmean().allclose(wide.abs().mean(0), 1e-14, 0));
  EXPECT_EQ(statistics.sample().size(0), 20);
}

TEST(Statistics, GiveTheHessianInSlicesToo) {
  Statistics statistics(kChannels, {.hessian = true});
  statistics.add(random_rows(50, 1));
  EXPECT_TRUE(statistics.hessian_rows(3, 8).equal(statistics.hessian().narrow(0, 3, 5)));
}

TEST(Statistics, OfSingleChunksMergeToOnePassBitForBit) {
  Statistics one_pass(kChannels, kAll);
  Statistics merged(kChannels, kAll);
  std::int64_t first = 0;
  for (std::uint64_t chunk = 0; chunk < 7; ++chunk) {
    const auto rows = static_cast<std::int64_t>(11 + 5 * chunk);
    const at::Tensor x = random_rows(rows, chunk);
    const at::Tensor x_float = random_rows(rows, 100 + chunk);
    one_pass.add(x, x_float);
    Statistics part(kChannels, kAll);
    part.add(x, x_float, first);
    merged.merge(part);
    first += rows;
  }
  expect_same_bits(merged, one_pass);
}

TEST(Statistics, WithoutTokensAreTheIdentityOfMerge) {
  Statistics some(kChannels, kAll);
  some.add(random_rows(30, 1), random_rows(30, 2));
  Statistics left(kChannels, kAll);
  left.merge(some);
  expect_same_bits(left, some);
  Statistics right = some;
  right.merge(Statistics(kChannels, kAll));
  expect_same_bits(right, some);
}

TEST(Statistics, KeepTheSameSampleHoweverTheyAreGrouped) {
  const StatisticsNeeds needs{.sample_tokens = 9};
  const at::Tensor x = random_rows(64, 3);
  Statistics whole(kChannels, needs);
  whole.add(x);
  Statistics halves(kChannels, needs);
  halves.add(x.narrow(0, 40, 24), {}, 40);  // even in another order
  halves.add(x.narrow(0, 0, 40), {}, 0);
  EXPECT_TRUE(halves.sample().equal(whole.sample()));
  EXPECT_EQ(whole.sample().size(0), 9);
}

TEST(Statistics, DoNotDependOnTheNumberOfThreads) {
  const int threads = thread_count();
  const at::Tensor x = random_rows(700, 4);
  const at::Tensor x_float = random_rows(700, 5);
  Statistics one(kChannels, kAll);
  set_thread_count(1);
  one.add(x, x_float);
  Statistics two(kChannels, kAll);
  set_thread_count(2);
  two.add(x, x_float);
  set_thread_count(threads);
  expect_same_bits(one, two);
}

// Scales that are powers of two make every step exact.
TEST(Statistics, MapDiagonalsAsIfTheActivationsHadBeenScaled) {
  std::vector<float> scale;
  for (int i = 0; i < kChannels; ++i) scale.push_back(std::ldexp(i % 3 == 0 ? -1.0F : 1.0F, i % 5 - 2));
  const at::Tensor d = tensor_of(std::span<const float>(scale));
  const at::Tensor x = random_rows(40, 1);
  const at::Tensor x_float = random_rows(40, 2);
  Statistics mapped(kChannels, kAll);
  mapped.add(x, x_float);
  mapped.apply_diagonal(d);
  Statistics recomputed(kChannels, kAll);
  recomputed.add(x.div(d), x_float.div(d));
  expect_same_bits(mapped, recomputed);
  EXPECT_TRUE(mapped.hessian().equal(mapped.hessian().t()));
}

TEST(Statistics, KeepTheHessianSymmetricUnderAnyDiagonal) {
  Statistics statistics(kChannels, {.hessian = true});
  statistics.add(random_rows(40, 1));
  statistics.apply_diagonal(random_rows(1, 9).squeeze(0));
  EXPECT_TRUE(statistics.hessian().equal(statistics.hessian().t()));
}

TEST(Statistics, MapRotationsAsIfTheActivationsHadBeenRotated) {
  const StatisticsNeeds needs{.hessian = true, .cross = true, .sample_tokens = 10};
  // A Householder reflection of a random direction.
  const at::Tensor v = random_rows(1, 8).to(at::kDouble);
  const at::Tensor q =
      make_eye(kChannels, DType::kFloat64).sub(v.t().matmul(v).mul(2.0 / v.square().sum().item<double>()));
  const at::Tensor x = random_rows(40, 1);
  const at::Tensor x_float = random_rows(40, 2);
  Statistics mapped(kChannels, needs);
  mapped.add(x, x_float);
  mapped.apply_rotation(q);
  const auto rotated = [&](const at::Tensor& rows) { return rows.to(at::kDouble).matmul(q).to(at::kFloat); };
  Statistics recomputed(kChannels, needs);
  recomputed.add(rotated(x), rotated(x_float));
  // Both float32 sums of 40 products err by at most 40 * 2^-24 * sum |x_i x_j|, which rotating with ||Q||_1 <= sqrt(12)
  // on both sides may enlarge 12 times; sum |x_i x_j| * 2/40 <= 2 * 4^2.
  const double tolerance = (1 + 12) * 42 * std::ldexp(1.0, -24) * 2 * 16;
  EXPECT_TRUE(mapped.hessian().allclose(recomputed.hessian(), 0, tolerance));
  EXPECT_TRUE(mapped.cross().allclose(recomputed.cross(), 0, 2 * tolerance));
  EXPECT_TRUE(mapped.sample().equal(recomputed.sample()));
  EXPECT_TRUE(mapped.hessian().equal(mapped.hessian().t()));
}

TEST(Statistics, LoseRangesInARotation) {
  Statistics statistics(kChannels, {.channel_range = true});
  statistics.add(random_rows(5, 1));
  statistics.apply_rotation(make_eye(kChannels, DType::kFloat32));
  EXPECT_EQ(error_of(ErrorCode::kInternal, [&] { (void)statistics.channel_absmax(); }),
            "statistics: the channel range is unknown after a rotation");
}

TEST(Statistics, CountMagnitudesAndKeepTheRangeOfEachChunk) {
  const StatisticsNeeds needs{.histogram = true, .chunk_range = true};
  const at::Tensor first = random_rows(5, 1);
  const at::Tensor second = random_rows(9, 2);
  Statistics whole(kChannels, needs);
  whole.add(first);
  whole.add(second);
  Statistics merged(kChannels, needs), tail(kChannels, needs);
  merged.add(first);
  tail.add(second);
  merged.merge(tail);
  const at::Tensor ranges = whole.chunk_ranges();
  ASSERT_EQ(ranges.size(0), 2);
  EXPECT_TRUE(ranges.select(0, 1).select(0, 0).equal(second.min()));
  EXPECT_TRUE(ranges.select(0, 1).select(0, 1).equal(second.max()));
  EXPECT_TRUE(merged.chunk_ranges().equal(ranges));
  std::int64_t count = 0;
  for (const Histogram::Bin& bin : merged.histogram().bins()) count += bin.count;
  EXPECT_EQ(count, 14 * kChannels);
}

TEST(Statistics, LoseHistogramsAndRangesOfChunksInAnyMap) {
  Statistics statistics(kChannels, {.histogram = true, .chunk_range = true});
  statistics.add(random_rows(5, 1));
  statistics.apply_diagonal(make_full({kChannels}, 2.0, DType::kFloat32));
  EXPECT_EQ(error_of(ErrorCode::kInternal, [&] { (void)statistics.histogram(); }),
            "statistics: the histogram is unknown after the inputs were mapped");
  EXPECT_EQ(error_of(ErrorCode::kInternal, [&] { (void)statistics.chunk_ranges(); }),
            "statistics: the range of chunks is unknown after the inputs were mapped");
}

TEST(Statistics, NameTokenAndChannelOfAValueThatIsNotFinite) {
  Statistics statistics(kChannels, {.hessian = true});
  statistics.add(random_rows(5, 1));
  at::Tensor x = random_rows(5, 2);
  mutable_values_of<float>(x)[2 * kChannels + 7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { statistics.add(x); }),
            "activation is not finite at calibration token 7, channel 7; the model is damaged or its numbers overflow");
  EXPECT_EQ(statistics.tokens(), 5);
}

TEST(Statistics, RefuseToGiveWhatWasNotAskedFor) {
  const Statistics statistics(kChannels, {.hessian = true});
  EXPECT_EQ(error_of(ErrorCode::kInternal, [&] { (void)statistics.hessian(); }),
            "statistics: the Hessian of no tokens");
  EXPECT_EQ(error_of(ErrorCode::kInternal, [&] { (void)statistics.sample(); }),
            "statistics: a sample was not asked for");
}

TEST(StatisticsNeeds, JoinToWhatBothWant) {
  const StatisticsNeeds joined = StatisticsNeeds{.hessian = true, .sample_tokens = 3, .stream = Stream::kFloat} |
                                 StatisticsNeeds{.channel_range = true, .sample_tokens = 5, .stream = Stream::kFloat};
  EXPECT_EQ(joined,
            (StatisticsNeeds{.hessian = true, .channel_range = true, .sample_tokens = 5, .stream = Stream::kFloat}));
  EXPECT_EQ(joined | StatisticsNeeds{}, joined);
  EXPECT_THROW((void)(joined | StatisticsNeeds{.hessian = true}), Error);
}

}  // namespace
}  // namespace lowbit
