#include "kernels/cuda/expand_dispatch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../kernel_cases.h"
#include "kernels/cuda/pack.h"
#include "on_device.h"
#include "step_numbers.h"

// Weights decoded as bytes and by tables on the model of a GPU, from codes that end where nobody may read into memory
// that does.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::make_weight;
using kernels::testing::WeightCase;
using testing::count_of;
using testing::Numbers;
using testing::OnDevice;

struct Launchers {
  static testing::Seeded make(const Launch&, Report*) { return {7}; }
};
using Functions = CheckedExpansion<Launchers>;

TEST(CudaExpandCodes, WritesEveryCodeAsAByteWithASign) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t columns : {1, 100, 300}) {
      const WeightCase c = {17, columns, 4096, bits};
      const UnpackedWeight weight = make_weight(c);
      const OnDevice device(pack(PackedWeight::pack(weight.view())));
      const std::int32_t width = device.matrix().steps * kStepColumns;
      Numbers<std::int8_t> output(count_of(tiles_of(device.matrix()) * kTileRows, width));
      const ExpandCodesCall call = {device.matrix(), output.data()};
      const Launch launch{};
      Report report{};
      ASSERT_TRUE(Functions::expand_codes(&call, &launch, &report));
      for (std::int64_t row = 0; row < c.rows; ++row) {
        for (std::int64_t k = 0; k < columns; ++k) {
          const std::int64_t at = row * width + k / 4 * 4 + byte_of_column(static_cast<int>(k % 4));
          const int code = weight.codes[static_cast<std::size_t>(row * columns + k)];
          ASSERT_EQ(output.data()[at], code - code_offset(bits)) << c << ", row " << row << ", column " << k;
        }
      }
    }
  }
}

template <int kBits, typename Number>
void expect_numbers(NumberKind kind, std::int64_t columns, std::int64_t padding) {
  const WeightCase c = {19, columns, 64, kBits};
  UnpackedWeight weight = make_weight(c);
  weight.shape.decoding = Decoding::kTable;
  weight.zeros.clear();
  for (int code = 0; code < 1 << kBits; ++code) {
    const auto number = static_cast<float>(code);
    weight.table.push_back(kBits == 8 ? (number - 100.0F) / 16.0F : std::sin(number));  // 16 bits must hold the 256
  }
  const OnDevice device(pack(PackedWeight::pack(weight.view())));
  const std::int64_t stride = columns + padding;
  Numbers<> output(static_cast<std::size_t>((c.rows - 1) * stride + columns));
  const ExpandCall call = {device.matrix(), nullptr, output.data(), stride};
  const Launch launch{};
  Report report{};
  ASSERT_TRUE(Functions::expand_table(kind, &call, &launch, &report));
  for (std::int64_t row = 0; row < c.rows; ++row) {
    for (std::int64_t k = 0; k < (row + 1 == c.rows ? columns : stride); ++k) {
      std::uint16_t expected = 0xFFFF;  // between rows nothing is written
      if (k < columns) {
        const std::size_t group = static_cast<std::size_t>(row * weight.shape.groups + k / 64);
        const std::uint8_t code = weight.codes[static_cast<std::size_t>(row * columns + k)];
        expected = Number::from_float(weight.scales[group] * weight.table[code]);
      }
      ASSERT_EQ(output.data()[row * stride + k], expected) << c << ", row " << row << ", column " << k;
    }
  }
}

TEST(CudaExpandTable, RoundsScaleTimesTheTablesNumberOnce) {
  for (const std::int64_t columns : {1, 100, 320}) {
    for (const std::int64_t padding : {0, 3}) {
      expect_numbers<4, BFloat16>(NumberKind::kBFloat16, columns, padding);
      expect_numbers<8, Float16>(NumberKind::kFloat16, columns, padding);
    }
  }
}

}  // namespace
}  // namespace lowbit::kernels::cuda
