#include "lowbit/calibration/statistics_file.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/random.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/tensor/factory.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;

std::filesystem::path scratch(const char* name) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "lowbit-statistics";
  make_folders(folder);
  return folder / name;
}

Statistics random_statistics(std::int64_t channels, const StatisticsNeeds& needs, std::uint64_t seed) {
  Statistics statistics(channels, needs);
  const Random random(seed, "rows");
  std::vector<float> values;
  for (std::int64_t i = 0; i < 40 * channels; ++i) {
    values.push_back(static_cast<float>(random.normal(static_cast<std::uint64_t>(i))));
  }
  statistics.add(tensor_of(std::span<const float>(values)).view({40, channels}));
  return statistics;
}

TEST(StatisticsFile, KeepsEveryBit) {
  const StatisticsNeeds both{.hessian = true, .channel_range = true, .stream = Stream::kFloat};
  const StatisticsNeeds hessian{.hessian = true, .stream = Stream::kFloat};
  StatisticsByGroup written;
  written.emplace("first", random_statistics(7, both, 1));
  written.emplace("second", random_statistics(33, hessian, 2));
  write_statistics(scratch("kept.safetensors"), written);
  const StatisticsByGroup read = read_statistics(scratch("kept.safetensors"), Stream::kFloat);
  ASSERT_EQ(read.size(), 2U);
  for (const auto& [group, before] : written) {
    const Statistics& after = read.at(group);
    EXPECT_EQ(after.needs(), before.needs());
    EXPECT_EQ(after.tokens(), 40);
    EXPECT_TRUE(after.hessian().equal(before.hessian()));
    EXPECT_TRUE(after.hessian_rows(2, 5).equal(before.hessian_rows(2, 5)));
  }
  EXPECT_TRUE(read.at("first").channel_min().equal(written.at("first").channel_min()));
  EXPECT_TRUE(read.at("first").channel_max().equal(written.at("first").channel_max()));
  EXPECT_TRUE(read.at("first").channel_absmean().equal(written.at("first").channel_absmean()));
  // What is read can go on collecting.
  Statistics merged = read.at("first");
  merged.merge(random_statistics(7, both, 3));
  Statistics expected = written.at("first");
  expected.merge(random_statistics(7, both, 3));
  EXPECT_TRUE(merged.hessian().equal(expected.hessian()));
}

TEST(StatisticsFile, SaysWhatIsWrongWithIt) {
  const auto written = [&](std::vector<TensorDeclaration> tensors, const std::vector<std::vector<double>>& values,
                           const char* format = "lowbit-statistics-1") {
    const std::filesystem::path path = scratch("damaged.safetensors");
    SafetensorsWriter writer(path, std::move(tensors), {{"format", format}});
    for (const std::size_t index : writer.order()) {
      writer.write(values[index].data(), values[index].size() * sizeof(double));
    }
    writer.finish();
    return error_text(ErrorCode::kData, [&] { (void)read_statistics(path, Stream::kFloat); });
  };
  // Two int64 numbers with these bits: tokens and channels.
  const auto counts = [](std::int64_t tokens, std::int64_t channels) {
    return std::vector<double>{std::bit_cast<double>(tokens), std::bit_cast<double>(channels)};
  };
  const TensorDeclaration tokens{"x.tokens", StorageType::kI64, {2}};
  EXPECT_THAT(written({tokens}, {counts(5, 2)}, "pt"), HasSubstr("not a file of calibration statistics"));
  EXPECT_THAT(written({tokens}, {counts(5, 0)}),
              HasSubstr("tensor 'x.tokens': 5 tokens of 0 channels; remove the file"));
  EXPECT_THAT(written({{"x.tokens", StorageType::kI64, {1}}}, {{1}}), HasSubstr("'x.tokens': has 8 bytes"));
  EXPECT_THAT(written({tokens, {"x.gram", StorageType::kF64, {2}}}, {counts(5, 2), {1, 1}}),
              HasSubstr("tensor 'x.gram': has 16 bytes or another type, expected 24"));
  EXPECT_THAT(written({tokens, {"x.gram", StorageType::kF64, {3}}}, {counts(5, 2), {1, 1, INFINITY}}),
              HasSubstr("tensor 'x.gram': holds a value that is not finite"));
  EXPECT_THAT(written({tokens, {"x.min", StorageType::kF32, {2}}}, {counts(5, 2), {0}}),
              HasSubstr("tensor 'x.max': is missing"));
}

TEST(StatisticsFile, HoldsHessiansAndRangesAlone) {
  EXPECT_TRUE(can_be_stored({.hessian = true, .channel_range = true}));
  EXPECT_FALSE(can_be_stored({.hessian = true, .cross = true}));
  EXPECT_FALSE(can_be_stored({.histogram = true}));
  EXPECT_FALSE(can_be_stored({.chunk_range = true}));
  EXPECT_FALSE(can_be_stored({.sample_tokens = 1}));
}

}  // namespace
}  // namespace lowbit
