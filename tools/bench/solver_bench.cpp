#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "efficiency/median.h"
#include "layer_parts.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/inverse_factor.h"
#include "reference_gptq.h"

// solver_bench [--threads N] [--runs N] [--shape OUTxIN]...: GPTQ's solve of one layer, the factor of the Hessian
// given, beside the authors' blocked loop in LibTorch on the same threads, in turn. With --parts, the parts of the work
// on a layer, from second moments to the report's errors, each by itself, with --device on a GPU as well.
namespace lowbit::bench {
namespace {

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

void measure(const LayerShape& shape, const SolverOptions& options) {
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
  const Spread here = spread_of_seconds(own);
  const Spread there = spread_of_seconds(others);
  fmt::print(
      "{} x {}: lowbit {:.4f} s ({:.4f} to {:.4f}), LibTorch {:.4f} s ({:.4f} to {:.4f}), ratio {:.2f}, "
      "equal codes {:.5f}\n",
      shape.out, shape.in, here.median, here.fastest, here.slowest, there.median, there.fastest, there.slowest,
      there.median / here.median, equal);
}

LayerShape parse_shape(const std::string& text) {
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
  SolverOptions options;
  int threads = 2;
  bool parts = false;
  std::string device = "cpu";
  std::vector<std::string> shapes{"576x576", "192x576", "1536x576", "576x1536"};  // SmolLM2-135M's
  app.add_option("--threads", threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--runs", options.runs)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--bits", options.bits)->check(CLI::Range(2, 8))->capture_default_str();
  app.add_option("--group", options.group)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--parts", parts, "The parts of the work on a layer instead of the rival");
  app.add_option("--tokens", options.tokens, "Calibration tokens of --parts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--device", device, "Where --parts are done too, and held against the CPU's")->capture_default_str();
  app.add_option("--shape", shapes, "Rows and columns, such as 576x1536; may be repeated")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    lowbit::set_thread_count(threads);
    options.device = lowbit::compute_device(device);
    for (const std::string& shape : shapes) (parts ? measure_parts : measure)(parse_shape(shape), options);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
