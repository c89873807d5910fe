#include "lowbit/formats/certificate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "kernels/layout.h"
#include "lowbit/base/random.h"
#include "lowbit/formats/pack_weight.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using kernels::Arithmetic;
using kernels::PackedWeight;

at::Tensor random_matrix(std::int64_t rows, std::int64_t columns) {
  const Random random(11, "certificate/test");
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return tensor_of(std::span<const float>(values)).view({rows, columns});
}

QuantizedWeight quantized(std::int64_t rows, std::int64_t columns, const GridOptions& grid) {
  return quantize_to_nearest(random_matrix(rows, columns), grid.spec());
}

// Outliers in each row, and columns whose groups are shuffled.
QuantizedWeight with_outliers_and_order(QuantizedWeight weight) {
  std::vector<std::int32_t> rows;
  std::vector<std::int32_t> columns;
  std::vector<float> values;
  for (std::int32_t row = 0; row < weight.rows(); ++row) {
    for (const std::int32_t column : {row % 7, 40 + row % 5}) {
      rows.push_back(row);
      columns.push_back(column);
      values.push_back(3.5F - static_cast<float>(row % 8));
    }
  }
  weight.outliers =
      SparseOutliers{tensor_of(std::span<const std::int32_t>(rows)), tensor_of(std::span<const std::int32_t>(columns)),
                     tensor_of(std::span<const float>(values))};
  std::vector<std::int32_t> groups = weight.column_groups();
  for (std::size_t i = 0; i < groups.size(); ++i) std::swap(groups[i], groups[(i * 37 + 5) % groups.size()]);
  weight.group_index = tensor_of(std::span<const std::int32_t>(groups));
  return weight;
}

std::vector<Arithmetic> arithmetics_of(const QuantizedWeight& weight) {
  if (weight.grid.kind != GridKind::kInteger) return {Arithmetic::kFloat32};
  if (weight.grid.scale_type == ScaleType::kUint8) {
    return {Arithmetic::kFloat32, Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kInt8TwoLevel,
            Arithmetic::kBFloat16};
  }
  return {Arithmetic::kFloat32, Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kBFloat16};
}

TEST(Certificate, HoldsForEveryGridAndArithmeticOnEveryBackend) {
  std::vector<QuantizedWeight> weights;
  for (const int bits : {2, 3, 4, 8}) {
    weights.push_back(quantized(20, 333, {.bits = bits, .group = 64}));
    weights.push_back(quantized(20, 333, {.bits = bits, .group = -1, .symmetry = Symmetry::kSymFullSigned}));
  }
  weights.push_back(quantized(33, 2100, {.bits = 4, .group = 128}));
  weights.push_back(with_outliers_and_order(quantized(20, 333, {.bits = 4, .group = 32})));
  weights.push_back(quantized(33, 2100, {.bits = 4, .group = 64, .scale = ScaleType::kUint8}));
  weights.push_back(with_outliers_and_order(quantized(20, 333, {.bits = 3, .group = 32, .scale = ScaleType::kUint8})));
  weights.push_back(quantized(32, 128, {.format = NumberFormat::kOffset, .bits = 3, .group = 32, .nested_bits = 3}));
  weights.push_back(quantized(20, 96, GridOptions::of(NumberFormat::kNf4)));
  weights.push_back(quantized(20, 96, GridOptions::of(NumberFormat::kMxfp4)));
  for (const QuantizedWeight& weight : weights) {
    const PackedWeight packed = pack_weight(weight);
    for (const Arithmetic arithmetic : arithmetics_of(weight)) {
      for (const kernels::BackendState& backend : kernels::backends()) {
        if (!backend.usable) continue;
        const Certificate certificate = certify_product(weight, packed, arithmetic, backend.name);
        EXPECT_TRUE(certificate.holds()) << weight.grid.text() << ", " << kernels::arithmetic_name(arithmetic) << ", "
                                         << certificate.kernels << ": " << certificate.worst_error << " of "
                                         << certificate.bound << " on " << certificate.input;
        EXPECT_TRUE(certificate.kernels.starts_with(backend.name)) << certificate.kernels;
        EXPECT_GT(certificate.worst_share, 0.0) << "nothing is rounded to float32 for free";
        EXPECT_GE(certificate.outputs, 2 * 7 * weight.rows());
      }
    }
  }
}

// A byte stands for something when unpacking shows that it has changed.
TEST(Certificate, FindsEveryChangedByteOfCodesAndZeros) {
  const int threads = thread_count();
  set_thread_count(1);  // what is small gains nothing by more
  const QuantizedWeight weight = quantized(20, 96, {.bits = 4, .group = 32});
  const PackedWeight packed = pack_weight(weight);
  const kernels::PackedLayout& layout = packed.layout();
  const kernels::UnpackedWeight before = packed.unpack();
  std::map<Arithmetic, int> found;
  int changed = 0;
  for (std::int64_t block = 0; block < layout.blocks; ++block) {
    for (std::int64_t i = layout.zero_offset; i < layout.block_bytes; i += 3) {
      std::uint8_t& byte = layout.data.get()[block * layout.block_bytes + i];
      const std::uint8_t kept = byte;
      byte ^= static_cast<std::uint8_t>(i < layout.code_offset ? 1U : 1U << (i % 8));
      const kernels::UnpackedWeight after = packed.unpack();
      if (after.codes != before.codes || after.zeros != before.zeros) {
        ++changed;
        for (const Arithmetic arithmetic : arithmetics_of(weight)) {
          found[arithmetic] += certify_product(weight, packed, arithmetic).holds() ? 0 : 1;
        }
      }
      byte = kept;
    }
  }
  set_thread_count(threads);
  EXPECT_GT(changed, 300);
  for (const Arithmetic arithmetic : arithmetics_of(weight)) EXPECT_EQ(found[arithmetic], changed);
}

TEST(Certificate, FindsAScaleThatIsOffInItsLastBit) {
  const QuantizedWeight weight = quantized(20, 160, {.bits = 4, .group = 32});
  for (const Arithmetic arithmetic : arithmetics_of(weight)) {
    for (std::int64_t scale = 0; scale < 5 * 16; ++scale) {
      const PackedWeight packed = pack_weight(weight);
      packed.layout().data.get()[2 * scale] ^= 1;
      EXPECT_FALSE(certify_product(weight, packed, arithmetic).holds()) << scale;
    }
  }
}

TEST(Certificate, SaysWhereItWasFound) {
  const QuantizedWeight weight = quantized(20, 160, {.bits = 8, .group = 32});
  PackedWeight packed = pack_weight(weight);
  const kernels::PackedLayout& layout = packed.layout();
  layout.data.get()[layout.block_bytes + layout.code_offset + 4 * 2] ^= 0x80;  // block 1, row 2 of it
  const Certificate certificate = certify_product(weight, packed, Arithmetic::kInt8);
  EXPECT_EQ(certificate.row, 18);
  EXPECT_GT(certificate.worst_error, 100 * certificate.bound);
  EXPECT_FALSE(certificate.input.empty());
}

TEST(Certificate, IsTheSameForAnyThreads) {
  const QuantizedWeight weight = quantized(40, 333, {.bits = 3, .group = 64});
  const PackedWeight packed = pack_weight(weight);
  const auto numbers = [&] {
    const Certificate c = certify_product(weight, packed, Arithmetic::kInt16);
    return std::tuple(c.worst_error, c.bound, c.worst_share, c.row, c.input);
  };
  const int threads = thread_count();
  set_thread_count(1);
  const auto alone = numbers();
  set_thread_count(3);
  EXPECT_EQ(numbers(), alone);
  set_thread_count(threads);
}

TEST(Certificate, RefusesAnotherWeightsPacking) {
  const PackedWeight packed = pack_weight(quantized(20, 96, {}));
  EXPECT_EQ(testing::error_text(ErrorCode::kInternal,
                                [&] { (void)certify_product(quantized(20, 64, {}), packed, Arithmetic::kInt8); }),
            "certificate: a packed weight of [20, 96] does not go with one of [20, 64]");
}

}  // namespace
}  // namespace lowbit
