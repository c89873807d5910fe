#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/driver/layer_error.h"
#include "quantization/solvers/column_plan.h"
#include "quantization/solvers/column_sweep.h"
#include "quantization/solvers/inverse_factor.h"
#include "quantization/solvers/rounding.h"
#include "reference_gptq.h"

// solver_bench [--threads N] [--runs N] [--shape OUTxIN]...: GPTQ's solve of one layer, the factor of the Hessian
// given, beside the authors' blocked loop in LibTorch on the same threads, in turn. With --parts, the parts of the work
// on a layer, from second moments to the report's errors, each by itself.
namespace lowbit::bench {
namespace {

struct Shape {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

struct Options {
  int bits = 4;
  std::int64_t group = 64;
  std::int64_t block = 128;
  int runs = 5;
  std::int64_t tokens = 8192;
};

constexpr std::int64_t kSequence = 512;

at::Tensor normal_numbers(std::int64_t rows, std::int64_t columns, const std::string& stream) {
  const Random random(1, stream);
  at::Tensor result = make_empty({rows, columns}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(result)) value = static_cast<float>(random.normal(counter++));
  return result;
}

// Of inputs that are sums of an eighth as many directions and of noise, as activations are.
at::Tensor factor_of_hessian(std::int64_t size) {
  const at::Tensor directions = normal_numbers(size / 8 + 1, size, "directions");
  const at::Tensor inputs =
      normal_numbers(2 * size, size / 8 + 1, "weights").matmul(directions).add(normal_numbers(2 * size, size, "noise"));
  at::Tensor hessian = gram(inputs);
  hessian.diagonal().mul_(1.01);
  if (!invert_factor_in_place(hessian)) fail(ErrorCode::kInternal, "the Hessian of the measurement is not definite");
  return to_dtype(hessian, DType::kFloat32);
}

SweepRequest make_request(const at::Tensor& weight, const at::Tensor& upper, const ColumnPlan& plan,
                          const Options& options, GroupSource source) {
  GridSpec grid;
  grid.bits = options.bits;
  grid.group = options.group;
  grid.scale_type = ScaleType::kFloat32;
  SweepRequest request;
  request.weight = weight;
  request.upper = upper;
  request.plan = &plan;
  request.grid = grid;
  request.source = source;
  request.block = options.block;
  request.fit = [grid](const at::Tensor& part, const SweepPlace&) { return fit_group(part, grid, Clip::kNone); };
  return request;
}

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

void measure(const Shape& shape, const Options& options) {
  const at::Tensor weight = normal_numbers(shape.out, shape.in, "weight");
  const at::Tensor upper = factor_of_hessian(shape.in);
  const ColumnPlan plan =
      plan_columns(make_full({shape.in}, 1.0, DType::kFloat64), options.group, ColumnOrder::kNatural, false);
  const SweepRequest request = make_request(weight, upper, plan, options, GroupSource::kFresh);
  ReferenceGptq reference;
  std::vector<double> own, others;
  for (int run = 0; run < options.runs; ++run) {
    own.push_back(seconds_of([&] { (void)sweep_columns(request); }));
    others.push_back(
        seconds_of([&] { reference = reference_gptq(weight, upper, options.bits, options.group, options.block); }));
  }
  // The reference reads a group's parameters at block boundaries; asked for the same, both find the same codes, but
  // where float32 rounding decides.
  const SweepResult same = sweep_columns(make_request(weight, upper, plan, options, GroupSource::kBlock));
  const double equal = to_dtype(same.codes, DType::kFloat32).eq(reference.codes).sum().item<double>() /
                       static_cast<double>(weight.numel());
  fmt::print(
      "{} x {}: lowbit {:.4f} s ({:.4f} to {:.4f}), LibTorch {:.4f} s ({:.4f} to {:.4f}), ratio {:.2f}, "
      "equal codes {:.5f}\n",
      shape.out, shape.in, median(own), *std::min_element(own.begin(), own.end()),
      *std::max_element(own.begin(), own.end()), median(others), *std::min_element(others.begin(), others.end()),
      *std::max_element(others.begin(), others.end()), median(others) / median(own), equal);
}

void print_part(const char* name, std::vector<double> seconds, double operations) {
  const double middle = median(seconds);
  fmt::print("  {:<16}{:>9.3f} s ({:.3f} to {:.3f}), {:>6.1f} Gop/s\n", name, middle,
             *std::min_element(seconds.begin(), seconds.end()), *std::max_element(seconds.begin(), seconds.end()),
             operations / middle / 1e9);
}

// What solving a layer consists of, each part by itself.
void measure_parts(const Shape& shape, const Options& options) {
  const auto in = static_cast<double>(shape.in);
  const double sweep_operations = static_cast<double>(shape.out) * in * in;
  const auto tokens = static_cast<double>(options.tokens);
  const at::Tensor weight = normal_numbers(shape.out, shape.in, "weight");
  const at::Tensor inputs = normal_numbers(options.tokens, shape.in, "inputs");
  const ColumnPlan plan =
      plan_columns(make_full({shape.in}, 1.0, DType::kFloat64), options.group, ColumnOrder::kNatural, false);
  std::vector<double> moments, factor, sweep, errors;
  for (int run = 0; run < options.runs; ++run) {
    StatisticsNeeds needs;
    needs.hessian = true;
    Statistics statistics(shape.in, needs);
    moments.push_back(seconds_of([&] {
      for (std::int64_t first = 0; first < options.tokens; first += kSequence) {
        statistics.add(inputs.narrow(0, first, std::min(kSequence, options.tokens - first)));
      }
    }));
    at::Tensor upper = statistics.hessian();
    upper.diagonal().add_(0.01 * upper.diagonal().mean().item<double>());
    factor.push_back(seconds_of([&] { (void)invert_factor_in_place(upper); }));
    const SweepRequest request =
        make_request(weight, to_dtype(upper, DType::kFloat32), plan, options, GroupSource::kFresh);
    sweep.push_back(seconds_of([&] { (void)sweep_columns(request); }));
    const at::Tensor matrices[] = {weight, weight, weight};
    errors.push_back(seconds_of([&] { (void)output_norms(matrices, statistics); }));
  }
  fmt::print("{} x {}, {} tokens\n", shape.out, shape.in, options.tokens);
  print_part("second moments", moments, tokens * in * in);
  print_part("factor", factor, 2.0 / 3.0 * in * in * in);
  print_part("columns", sweep, sweep_operations);
  print_part("errors", errors, 3 * sweep_operations);
}

Shape parse_shape(const std::string& text) {
  const std::size_t cross = text.find('x');
  try {
    if (cross != std::string::npos) return {std::stoll(text.substr(0, cross)), std::stoll(text.substr(cross + 1))};
  } catch (const std::exception&) {
  }
  fail(ErrorCode::kConfig, "'{}' is no shape, expected rows and columns such as 576x1536", text);
}

}  // namespace
}  // namespace lowbit::bench

int main(int argc, char** argv) {
  using namespace lowbit::bench;
  CLI::App app("Times GPTQ's solve of a layer beside the authors' blocked loop in LibTorch");
  Options options;
  int threads = 2;
  bool parts = false;
  std::vector<std::string> shapes{"576x576", "192x576", "1536x576", "576x1536"};  // SmolLM2-135M's
  app.add_option("--threads", threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--runs", options.runs)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--bits", options.bits)->check(CLI::Range(2, 8))->capture_default_str();
  app.add_option("--group", options.group)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--parts", parts, "The parts of the work on a layer instead of the rival");
  app.add_option("--tokens", options.tokens, "Calibration tokens of --parts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--shape", shapes, "Rows and columns, such as 576x1536; may be repeated")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    lowbit::set_thread_count(threads);
    for (const std::string& shape : shapes) (parts ? measure_parts : measure)(parse_shape(shape), options);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
