// What must hold for every weight, whatever the numbers: no test data is needed.
#include "@name@.h"

#include <lowbit/base/error.h>
#include <lowbit/base/random.h>
#include <lowbit/tensor/factory.h>

#include <cstdint>
#include <cstdio>
#include <limits>
#include <span>
#include <string>

namespace {

int failures = 0;

void expect(bool holds, const char* claim) {
  if (holds) return;
  std::printf("FAILED: %s\n", claim);
  ++failures;
}

at::Tensor normal_weight(std::int64_t rows, std::int64_t columns) {
  at::Tensor weight = lowbit::make_empty({rows, columns}, lowbit::DType::kFloat32);
  const lowbit::Random random(7, "weight");
  std::uint64_t counter = 0;
  for (float& value : lowbit::mutable_values_of<float>(weight)) value = static_cast<float>(random.normal(counter++));
  return weight;
}

lowbit::QuantizedWeight solve(const @Class@Options& options, const at::Tensor& weight) {
  lowbit::LinearProblem problem;
  problem.layer = "test";
  problem.weight = weight.clone();
  return @Class@(options).solve(problem);
}

double squared_error(const lowbit::QuantizedWeight& solved, const at::Tensor& weight) {
  const at::Tensor rounded = solved.dequantize();
  const std::span<const float> w = lowbit::values_of<float>(weight);
  const std::span<const float> r = lowbit::values_of<float>(rounded);
  double error = 0;
  for (std::size_t i = 0; i < w.size(); ++i) error += static_cast<double>(w[i] - r[i]) * static_cast<double>(w[i] - r[i]);
  return error;
}

}  // namespace

int main() {
  const at::Tensor weight = normal_weight(16, 72);  // two groups, of 64 and of 8 columns
  for (int bits = 2; bits <= 8; ++bits) {
    @Class@Options options;
    options.bits = bits;
    const lowbit::QuantizedWeight fitted = solve(options, weight);
    fitted.check("test");
    expect(lowbit::shape_of(fitted.codes) == lowbit::Shape{16, 72}, "a code for every weight");
    expect(lowbit::shape_of(fitted.scales) == lowbit::Shape{16, 2}, "a scale for every group, the ragged one too");
    options.rounds = 0;
    expect(squared_error(fitted, weight) <= squared_error(solve(options, weight), weight),
           "never worse than round to nearest");
  }
  @Class@Options options;
  options.bits = 3;
  const lowbit::QuantizedWeight fitted = solve(options, weight);
  options.rounds = 0;
  expect(squared_error(fitted, weight) < 0.99 * squared_error(solve(options, weight), weight),
         "better by a percent and more on normal weights at 3 bits");
  const at::Tensor zero = lowbit::make_zeros({16, 72}, lowbit::DType::kFloat32);
  expect(squared_error(solve(options, zero), zero) == 0, "an all-zero weight stays zero");

  at::Tensor broken = weight.clone();
  lowbit::mutable_values_of<float>(broken)[5] = std::numeric_limits<float>::quiet_NaN();
  try {
    (void)solve(options, broken);
    expect(false, "NaN is refused");
  } catch (const lowbit::Error& error) {
    expect(std::string(error.what()).find("test: ") == 0, "the layer is named");
  }
  if (failures == 0) std::printf("all claims hold\n");
  return failures == 0 ? 0 : 1;
}
