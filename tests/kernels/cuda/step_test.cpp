#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels/cuda/step_dispatch.h"
#include "on_device.h"
#include "step_numbers.h"

// The kernels of a decode step on the model of a GPU, against float64 and against each other.
namespace lowbit::kernels::cuda {
namespace {

using testing::count_of;
using testing::kRounding;
using testing::Numbers;
using testing::Seeded;

TEST(CudaNormRows, EqualsFloat64WithinItsRoundings) {
  for (const int width : {8, 64, 576, 4104}) {
    Numbers<> input(count_of(3, width), "input", 3);
    Numbers<> weight(count_of(width, 1), "weight");
    Numbers<> output(count_of(3, width));
    Numbers<std::int32_t> counter(1);
    counter.data()[0] = 6;
    const NormCall call = {input.data(), weight.data(), output.data(), 3, width, 1e-5F, counter.data()};
    Seeded launcher;
    launcher.launch<NormRows>({{3, 1, 1}, NormRows::kSharedWords * 4}, call);
    EXPECT_EQ(counter.data()[0], 7);
    for (std::size_t row = 0; row < 3; ++row) {
      const std::size_t first = row * static_cast<std::size_t>(width);
      double squares = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(width); ++i) squares += std::pow(input.at(first + i), 2);
      const double scale = 1 / std::sqrt(squares / width + static_cast<double>(1e-5F));
      for (std::size_t i = 0; i < static_cast<std::size_t>(width); ++i) {
        const double expected = input.at(first + i) * scale * weight.at(i);
        // A thread sums at most 16 squares and joins 21 sums; half of that for the root, and six operations behind.
        ASSERT_NEAR(output.at(first + i), expected, std::fabs(expected) * (kRounding + 32 * 0x1p-24)) << width;
      }
    }
  }
}

TEST(CudaGateRows, EqualsFloat64WithinItsRoundings) {
  for (const int count : {1, 44, 1100, 2048}) {
    const std::size_t room = count_of((count + 7) / 8, 8);  // so that memory that ends at a page begins on 16 bytes
    Numbers<> gate(room, "gate", 6);
    Numbers<> up(room, "up");
    gate.data()[0] = float_to_bfloat16(-120.0F);  // whose exponential float32 does not hold
    Numbers<> output(room);
    Seeded launcher;
    const GateCall call = {gate.data(), up.data(), output.data(), count};
    launcher.launch<GateRows>({{blocks_for(count, GateRows::kThreads * 8), 1, 1}, 0}, call);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const double expected = gate.at(i) / (1 + std::exp(-gate.at(i))) * up.at(i);
      ASSERT_NEAR(output.at(i), expected, std::fabs(expected) * (kRounding + 0x1p-20) + 1e-37) << count;
    }
    for (std::size_t i = static_cast<std::size_t>(count); i < room; ++i) EXPECT_EQ(output.data()[i], 0xFFFF);
  }
}

Packed random_weight(std::int64_t rows, std::int64_t columns, const std::string& name) {
  UnpackedWeight weight;
  weight.shape.rows = rows;
  weight.shape.columns = columns;
  weight.shape.groups = (columns + 127) / 128;
  weight.shape.bits = 4;
  weight.shape.group = 128;
  weight.shape.scale_storage = ScaleStorage::kFloat16;
  const Random random(6, name);
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    weight.codes.push_back(static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(i), 16)));
  }
  const auto groups = static_cast<std::size_t>(rows * weight.shape.groups);
  weight.scales.assign(groups, 0.25F);
  weight.zeros.assign(groups, 7.0F);
  return pack(PackedWeight::pack(weight.view()));
}

// Rows and groups of every product, and splits of one of them.
TEST(CudaTogether, HasTheBitsOfEachProductAlone) {
  struct Shape {
    std::int64_t rows;
    int splits;
  };
  constexpr int kColumns = 1056;
  constexpr Shape kShapes[] = {{40, 1}, {7, 2}, {33, 1}};
  std::vector<std::unique_ptr<testing::OnDevice>> weights;
  for (const Shape& shape : kShapes) {
    weights.push_back(
        std::make_unique<testing::OnDevice>(random_weight(shape.rows, kColumns, std::to_string(shape.rows))));
  }
  for (const int tokens : {1, 9, 20, 40}) {
    Numbers<> input(count_of(tokens, kColumns), "input");
    std::vector<float> alone[3];
    std::vector<float> together[3];
    HalfProduct products[3];
    Numbers<float> partials(count_of(2, tokens, 40));
    std::vector<std::uint32_t> arrivals(64, 0);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto rows = static_cast<std::int32_t>(kShapes[i].rows);
      alone[i].resize(count_of(tokens, rows));
      together[i] = alone[i];
      products[i] = {weights[i]->matrix(),
                     input.data(),
                     kColumns,
                     kColumns,
                     tokens,
                     true,
                     {alone[i].data(), rows, NumberKind::kFloat32, nullptr, nullptr, 0},
                     kShapes[i].splits,
                     partials.data(),
                     arrivals.data()};
      Seeded launcher;
      dispatch_skinny<BFloat16, 4>(products[i], launcher);
      products[i].output.data = together[i].data();
    }
    Seeded launcher{tokens + 1U};
    ASSERT_EQ(together_obstacle(products, 3), nullptr);
    dispatch_together(products, 3, launcher);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(together[i], alone[i]) << tokens << " tokens, product " << i;
    EXPECT_EQ(arrivals, std::vector<std::uint32_t>(64, 0));
  }
}

// silu(gate) times up of what the products give alone, with biases, by any number of tokens.
TEST(CudaGated, GatesTheSumsOfEachProductAlone) {
  constexpr int kColumns = 1056;
  constexpr std::int32_t kRows = 40;
  const testing::OnDevice gate(random_weight(kRows, kColumns, "gate"));
  const testing::OnDevice up(random_weight(kRows, kColumns, "up"));
  Numbers<float> biases[2] = {Numbers<float>(kRows, "gate"), Numbers<float>(kRows, "up")};
  for (const bool biased : {false, true}) {
    for (const int tokens : {1, 9, 20, 40}) {
      Numbers<> input(count_of(40, kColumns), "input");
      std::vector<float> alone[2];
      HalfProduct products[2];
      for (std::size_t i = 0; i < 2; ++i) {
        alone[i].resize(count_of(tokens, kRows));
        const float* bias = biased ? biases[i].data() : nullptr;
        products[i] = {(i == 0 ? gate : up).matrix(),
                       input.data(),
                       kColumns,
                       kColumns,
                       tokens,
                       true,
                       {alone[i].data(), kRows, NumberKind::kFloat32, bias, nullptr, 0},
                       1,
                       nullptr,
                       nullptr};
        Seeded launcher;
        dispatch_skinny<BFloat16, 4>(products[i], launcher);
      }
      Numbers<> output(count_of(tokens, kRows));
      GatedCall call = {products[0], products[1]};
      call.gate.output.data = output.data();
      call.gate.output.kind = NumberKind::kBFloat16;
      call.up.output.data = nullptr;
      ASSERT_EQ(gated_obstacle(call), nullptr);
      Seeded launcher{tokens + 1U};
      dispatch_gated(call, launcher);
      for (std::size_t i = 0; i < alone[0].size(); ++i) {
        EXPECT_EQ(output.data()[i], as_bfloat16(GateRows::gated(alone[0][i], alone[1][i]))) << tokens << ", " << i;
      }
    }
  }
}

/// Integers of bfloat16 rows of so many columns, their scales, and their sums.
struct RoundedRows {
  std::vector<std::int8_t> bytes;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
  bool operator==(const RoundedRows&) const = default;

  RoundedRows(const std::uint16_t* input, int tokens, int columns, RowsToRound rows, const std::uint16_t* other) {
    const int steps = (columns + kStepColumns - 1) / kStepColumns;
    bytes.resize(count_of(tokens, steps, kStepColumns));
    scales.resize(count_of(tokens, 1));
    sums.resize(count_of(tokens, 1, runs_of(1, steps)));
    QuantizeCall call = {input, NumberKind::kBFloat16, columns,       tokens,     columns, nullptr, steps, 1,
                         steps, bytes.data(),          scales.data(), sums.data()};
    call.rows = rows;
    call.other = other;
    call.epsilon = 1e-5F;
    Seeded launcher{3};
    dispatch_quantize<1>(call, launcher);
  }
};

// Whole numbers, whose squares add up exactly in any order, so that the norm is the same to the last bit; rows that
// threads keep, rows that they read again, and columns that end within a step.
TEST(CudaQuantize, RoundsNormedAndGatedRowsAsTwoKernelsDo) {
  for (const int columns : {8, 72, 1056, 8456}) {
    constexpr int kTokens = 3;
    Numbers<> input(count_of(kTokens, columns));
    for (std::size_t i = 0; i < count_of(kTokens, columns); ++i) {
      input.data()[i] = as_bfloat16(static_cast<float>(i * 7 % 13) - 6.0F);
    }
    Numbers<> weight(count_of(1, columns), "weight");
    Numbers<> up(count_of(kTokens, columns), "up");
    Numbers<> between(count_of(kTokens, columns));
    Seeded launcher;
    const NormCall norm = {input.data(), weight.data(), between.data(), kTokens, columns, 1e-5F, nullptr};
    launcher.launch<NormRows>({{kTokens, 1, 1}, NormRows::kSharedWords * 4}, norm);
    EXPECT_EQ(RoundedRows(input.data(), kTokens, columns, RowsToRound::kNormed, weight.data()),
              RoundedRows(between.data(), kTokens, columns, RowsToRound::kPlain, nullptr))
        << columns;
    const GateCall gate = {input.data(), up.data(), between.data(), kTokens * columns};
    launcher.launch<GateRows>({{blocks_for(gate.count, GateRows::kThreads * 8), 1, 1}, 0}, gate);
    EXPECT_EQ(RoundedRows(input.data(), kTokens, columns, RowsToRound::kGated, up.data()),
              RoundedRows(between.data(), kTokens, columns, RowsToRound::kPlain, nullptr))
        << columns;
  }
}

TEST(CudaTogether, HasTheBitsOfEachProductOfIntegersAlone) {
  constexpr int kColumns = 1056;
  constexpr std::int32_t kRows[] = {40, 7, 33};
  std::vector<std::unique_ptr<testing::OnDevice>> weights;
  for (const std::int32_t rows : kRows) {
    weights.push_back(std::make_unique<testing::OnDevice>(random_weight(rows, kColumns, std::to_string(rows))));
  }
  for (const int tokens : {1, 8}) {
    Numbers<> input(count_of(tokens, kColumns), "input");
    const Matrix& shape = weights[0]->matrix();
    std::vector<std::int8_t> bytes(count_of(tokens, shape.steps, kStepColumns));
    std::vector<float> scales(count_of(tokens, 1));
    std::vector<std::int32_t> sums(count_of(tokens, runs_of(shape.groups, shape.group_steps)));
    const QuantizeCall rounding = {
        input.data(), NumberKind::kBFloat16, kColumns,          tokens,       kColumns,      nullptr,
        shape.steps,  shape.groups,          shape.group_steps, bytes.data(), scales.data(), sums.data()};
    Seeded launcher{tokens + 1U};
    dispatch_quantize<1>(rounding, launcher);
    std::vector<float> alone[3];
    std::vector<float> together[3];
    IntegerProduct products[3];
    for (std::size_t i = 0; i < 3; ++i) {
      alone[i].resize(count_of(tokens, kRows[i]));
      together[i] = alone[i];
      products[i] = {
          weights[i]->matrix(), bytes.data(), scales.data(),
          sums.data(),          tokens,       {alone[i].data(), kRows[i], NumberKind::kFloat32, nullptr, nullptr, 0}};
      dispatch_integer<1, 4>(products[i], launcher);
      products[i].output.data = together[i].data();
    }
    ASSERT_EQ(together_obstacle(products, 3), nullptr);
    dispatch_together<4>(products, 3, launcher);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(together[i], alone[i]) << tokens << " tokens, product " << i;
  }
}

struct NoLaunchers {
  struct Launcher {
    template <typename Kernel, typename Call>
    bool launch(const GridSize&, const Call&) {
      return true;
    }
  };
  static Launcher make(const Launch&, Report*) { return {}; }
};

// Says what a call lacks.
class CudaStepFault : public ::testing::Test {
 protected:
  using Functions = CheckedStep<NoLaunchers>;
  [[nodiscard]] std::string fault(bool accepted) const {
    EXPECT_FALSE(accepted);
    EXPECT_EQ(report_.failure, Failure::kArgument);
    return report_.text;
  }
  const Launch launch_{};
  Report report_{};
};

TEST_F(CudaStepFault, OfNormsAndAttention) {
  NormCall norm{};
  norm.width = 12;
  EXPECT_EQ(fault(Functions::norm_rows(&norm, &launch_, &report_)), "the width of a norm is no multiple of 8");
  CachedAttentionCall attention{};
  attention.channels = 264;
  EXPECT_EQ(fault(Functions::attend_cached(&attention, &launch_, &report_)), "heads have 8 to 256 channels, by eights");
  attention.channels = 64;
  EXPECT_EQ(fault(Functions::attend_cached(&attention, &launch_, &report_)), "a cache has no heads or no tokens");
  attention.kv_heads = attention.repeats = 1;
  attention.capacity = 65;
  EXPECT_EQ(fault(Functions::attend_cached(&attention, &launch_, &report_)), "attention has no memory for its parts");
}

TEST_F(CudaStepFault, OfProductsThatAreMadeTogether) {
  HalfProduct products[2] = {};
  EXPECT_EQ(fault(Functions::multiply_together(products, 4, &launch_, &report_)), "1 to 3 products are made together");
  EXPECT_EQ(fault(Functions::multiply_together(products, 1, &launch_, &report_)),
            "products of 4 bits are made together");
  products[0].weight.bits = products[1].weight.bits = 4;
  products[0].splits = products[1].splits = 1;
  products[1].tokens = 1;
  EXPECT_EQ(fault(Functions::multiply_together(products, 2, &launch_, &report_)),
            "products that are made together have the same tokens");
  products[0].splits = 2;
  EXPECT_EQ(fault(Functions::multiply_together(products, 1, &launch_, &report_)),
            "a product in splits has no memory for their sums");
  products[0].splits = 0;
  EXPECT_EQ(fault(Functions::multiply_together(products, 1, &launch_, &report_)), "a product has no splits");
}

TEST_F(CudaStepFault, OfProductsOfIntegers) {
  IntegerProduct integers[2] = {};
  const auto integers_fault = [&](int count) {
    return fault(Functions::multiply_integers_together(integers, count, &launch_, &report_));
  };
  EXPECT_EQ(integers_fault(4), "1 to 3 products are made together");
  integers[0].weight.bits = 4;
  EXPECT_EQ(integers_fault(2), "products of one width are made together");
  integers[1].weight.bits = 4;
  integers[1].tokens = 1;
  EXPECT_EQ(integers_fault(2), "products that are made together have the same tokens");
  integers[0].tokens = 9;
  EXPECT_EQ(integers_fault(1), "products of integers that are made together have few tokens and groups");
  const float table[16] = {};
  integers[0].weight.table = table;
  EXPECT_EQ(integers_fault(1), "a table has no integer product");
}

TEST_F(CudaStepFault, OfGatedProducts) {
  HalfProduct products[2] = {};
  products[0].weight.bits = products[1].weight.bits = 4;
  products[0].splits = 2;
  products[1].splits = 1;
  const auto gated_fault = [&] {
    const GatedCall gated = {products[0], products[1]};
    return fault(Functions::multiply_gated(&gated, &launch_, &report_));
  };
  EXPECT_EQ(gated_fault(), "a product in splits has no memory for their sums");
  float partials[1];
  std::uint32_t arrivals[1];
  products[0].partials = partials;
  products[0].arrivals = arrivals;
  EXPECT_EQ(gated_fault(), "products that are gated have one split");
  products[0].splits = 1;
  products[1].weight.rows = 1;
  EXPECT_EQ(gated_fault(), "products that are gated have matrices of one shape");
  products[1].weight.rows = 0;
  products[0].output.residual = partials;
  EXPECT_EQ(gated_fault(), "nothing is added to what is gated");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
