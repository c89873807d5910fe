#include "lowbit/kernels/together.h"

#include <gtest/gtest.h>

#include "kernel_cases.h"
#include "support/error_text.h"

namespace lowbit::kernels::testing {
namespace {

struct Operands {
  std::vector<UnpackedWeight> unpacked;
  std::vector<PackedWeight> weights;
  std::vector<std::vector<float>> outputs;
  std::vector<std::vector<std::byte>> spaces;
};

Operands make_operands(const std::vector<WeightCase>& cases, Arithmetic arithmetic, std::int64_t tokens,
                       std::string_view backend) {
  Operands result;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    result.unpacked.push_back(make_weight(cases[i], 7 + i));
    result.weights.push_back(PackedWeight::pack(result.unpacked.back().view()));
    result.outputs.emplace_back(static_cast<std::size_t>(tokens * cases[i].rows), std::nanf(""));
    result.spaces.emplace_back(workspace_bytes(result.weights.back(), arithmetic, tokens, backend));
  }
  return result;
}

std::vector<Product> products_of(Operands& operands, Arithmetic arithmetic, const std::vector<float>& input,
                                 std::string_view backend, const Executor& executor) {
  std::vector<Product> products;
  for (std::size_t i = 0; i < operands.weights.size(); ++i) {
    const PackedWeight& weight = operands.weights[i];
    const auto tokens = static_cast<std::int64_t>(input.size()) / weight.columns();
    products.push_back({weight,
                        arithmetic,
                        {input.data(), tokens, weight.columns(), weight.columns()},
                        {operands.outputs[i].data(), tokens, weight.rows(), weight.rows()},
                        {},
                        operands.spaces[i],
                        executor,
                        backend});
  }
  return products;
}

// Alike, and with another group, another width of codes, another order of columns.
TEST(ProductsTogether, HaveTheBitsOfEachAlone) {
  const std::vector<WeightCase> cases = {{.rows = 36, .columns = 200, .group = 64},
                                         {.rows = 20, .columns = 200, .group = 64},
                                         {.rows = 70, .columns = 200, .group = 32, .bits = 8},
                                         {.rows = 17, .columns = 200, .group = 64, .act_order = true, .outliers = 9}};
  std::int64_t part = 2;
  for (const std::string& backend : usable_backends()) {
    for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kFloat32}) {
      for (const std::int64_t tokens : {1, 3, 11}) {
        const std::vector<float> input = make_input(tokens, 200);
        for (const Executor& executor : {Executor{}, Executor{run_on_threads, &part}}) {
          Operands operands = make_operands(cases, arithmetic, tokens, backend);
          multiply_together(products_of(operands, arithmetic, input, backend, executor));
          for (std::size_t i = 0; i < cases.size(); ++i) {
            EXPECT_EQ(Bits{operands.outputs[i]}, run_product(operands.weights[i], arithmetic, input, backend))
                << cases[i] << ", " << arithmetic_name(arithmetic) << ", " << tokens << " tokens, " << backend;
          }
        }
      }
    }
  }
}

TEST(ProductsTogether, RefuseAnotherInputAndTooMany) {
  const std::vector<float> input = make_input(2, 64);
  const std::vector<float> other = make_input(2, 64);
  Operands operands = make_operands({{.rows = 16}, {.rows = 16}}, Arithmetic::kInt8, 2, "");
  std::vector<Product> products = products_of(operands, Arithmetic::kInt8, input, "", {});
  products[1].input.data = other.data();
  EXPECT_EQ(lowbit::testing::error_text(ErrorCode::kInternal, [&] { multiply_together(products); }),
            "product: products together have one input, and two of 2 and 2 tokens differ");
  Operands five = make_operands(std::vector<WeightCase>(5), Arithmetic::kInt8, 2, "");
  EXPECT_EQ(lowbit::testing::error_text(
                ErrorCode::kInternal, [&] { multiply_together(products_of(five, Arithmetic::kInt8, input, "", {})); }),
            "product: 5 products together, expected at most 4");
}

TEST(ProductsTogether, DoNothingWithoutProductsOrTokens) {
  multiply_together({});
  Operands operands = make_operands({{.rows = 16}}, Arithmetic::kInt8, 0, "");
  multiply_together(products_of(operands, Arithmetic::kInt8, {}, "", {}));
}

}  // namespace
}  // namespace lowbit::kernels::testing
