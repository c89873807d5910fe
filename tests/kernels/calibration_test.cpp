#include "kernels/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel_cases.h"
#include "kernels/layout.h"
#include "support/error_text.h"

namespace lowbit::kernels {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::size_t chosen(std::initializer_list<double> seconds) {
  std::vector<Candidate> candidates;
  for (const double each : seconds) candidates.push_back({"backend", nullptr, each});
  return choose_candidate(candidates);
}

TEST(Calibration, LeavesTheTablesKernelOnlyForOneThatIsClearlyFaster) {
  EXPECT_EQ(chosen({1.0}), 0U);
  EXPECT_EQ(chosen({1.0, 0.95, 0.91}), 0U);
  EXPECT_EQ(chosen({1.0, 0.89, 2.0}), 1U);
  EXPECT_EQ(chosen({1.0, 0.8, 0.7, 0.75}), 2U);
}

TEST(Calibration, IsSwitchedByTheEnvironment) {
  EXPECT_TRUE(wants_calibration(nullptr));
  EXPECT_TRUE(wants_calibration(""));
  EXPECT_TRUE(wants_calibration("on"));
  EXPECT_FALSE(wants_calibration("off"));
  EXPECT_EQ(lowbit::testing::error_text(ErrorCode::kConfig, [] { (void)wants_calibration("0"); }),
            "kernels: LOWBIT_CALIBRATION is '0', expected 'on' or 'off'");
}

// Every kernel that may be chosen, on every backend, gives the reference's bits: a choice shows in time alone.
TEST(Calibration, ChoosesAmongKernelsThatGiveTheSameBits) {
  for (const int bits : {2, 3, 4, 8}) {
    const auto storage = bits == 8 ? ScaleStorage::kFloat16 : ScaleStorage::kUint8;
    const testing::WeightCase c{40, 300, 64, bits, Decoding::kWholeZero, false, storage};
    const PackedWeight weight = PackedWeight::pack(testing::make_weight(c).view());
    for (const std::int64_t tokens : {1, 2, 3, 4, 5, 17, 100}) {
      const std::vector<float> input = testing::make_input(tokens, c.columns);
      for (const Arithmetic arithmetic : testing::kArithmetics) {
        if (!testing::legal(c, arithmetic)) continue;
        const testing::Bits expected = testing::run_product(weight, arithmetic, input, "reference");
        for (const Backend& backend : all_backends()) {
          if (backend.alternatives == nullptr || !is_usable(backend)) continue;
          for (const Kernel* kernel : backend.alternatives(arithmetic, weight.layout().packed_bits, tokens)) {
            testing::Bits result{std::vector<float>(expected.values.size(), std::nanf(""))};
            std::vector<std::byte> space(largest_workspace(weight, tokens));
            multiply_with(*kernel, {weight,
                                    arithmetic,
                                    {input.data(), tokens, c.columns, c.columns},
                                    {result.values.data(), tokens, c.rows, c.rows},
                                    {},
                                    space,
                                    {},
                                    {}});
            EXPECT_TRUE(result == expected) << backend.name << ": " << kernel->name << ", "
                                            << arithmetic_name(arithmetic) << ", " << tokens << " tokens, " << c;
          }
        }
      }
    }
  }
}

TEST(Calibration, StandsInTheExplanationAndStaysForTheProcess) {
  const PackedWeight weight = PackedWeight::pack(testing::make_weight({}).view());
  for (const std::int64_t tokens : {1, 3, 64, 1000}) {
    const Choice first = explain(weight, Arithmetic::kInt8, tokens);
    std::printf("int8, %d tokens: %s: %s, %s\n", static_cast<int>(tokens), first.backend.c_str(), first.kernel.c_str(),
                first.reason.c_str());
    EXPECT_THAT(first.reason, AnyOf(HasSubstr("measured with"), "the only one that this machine has"));
    const Choice second = explain(weight, Arithmetic::kInt8, tokens);
    EXPECT_EQ(second.kernel, first.kernel);
    EXPECT_EQ(second.reason, first.reason);
  }
  EXPECT_EQ(explain(weight, Arithmetic::kInt8, 4).reason, explain(weight, Arithmetic::kInt8, 3).reason)
      << "sizes of one choice";
}

}  // namespace
}  // namespace lowbit::kernels
