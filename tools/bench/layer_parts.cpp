#include "layer_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "efficiency/median.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factorization.h"
#include "lowbit/tensor/factory.h"
#include "quantization/driver/layer_error.h"
#include "quantization/solvers/device_sweep.h"
#include "quantization/solvers/inverse_factor.h"
#include "quantization/solvers/rounding.h"

namespace lowbit::bench {
namespace {

constexpr std::int64_t kSequence = 512;
constexpr double kDamping = 0.01;
// Shares. Sums of float32 products differ by their rounding. A weight half way between two numbers may go to either,
// which changes the rest of its row, but not how well it comes off.
constexpr double kSumsAgree = 1e-5;
constexpr double kLossesAgree = 1e-3;

// The parts, and what they take.
struct Part {
  const char* name;
  double operations;
  std::vector<double> seconds = {};
};

struct Parts {
  at::Device device;
  Part moments, factor, columns, columns_by_library, errors;

  Parts(at::Device place, const LayerShape& shape, std::int64_t tokens) : device(place) {
    const auto in = static_cast<double>(shape.in);
    const double sweep = static_cast<double>(shape.out) * in * in;
    moments = {"second moments", static_cast<double>(tokens) * in * in};
    factor = {"factor", 2.0 / 3.0 * in * in * in};
    columns = {"columns", sweep};
    columns_by_library = {"by LibTorch alone", sweep};
    errors = {"errors", 3 * sweep};
  }
  void print() const {
    fmt::print("  {}\n", device.str());
    for (const Part* part : {&moments, &factor, &columns, &columns_by_library, &errors}) {
      if (part->seconds.empty()) continue;
      const Spread seconds = spread_of_seconds(part->seconds);
      fmt::print("  {:<18}{:>8.3f} s ({:.3f} to {:.3f}), {:>8.1f} Gop/s\n", part->name, seconds.median, seconds.fastest,
                 seconds.slowest, part->operations / seconds.median / 1e9);
    }
  }
};

struct Layer {
  at::Tensor weight;
  at::Tensor inputs;  // [tokens, in]
  ColumnPlan plan;
};

// What one run on one device found.
struct Found {
  at::Tensor hessian;  // float64
  at::Tensor upper;    // float64
  double loss = 0;     // along the way
  double loss_by_library = 0;
  double error = 0;  // of the result
  std::vector<double> norms;
};

at::Tensor damped(const Statistics& statistics, at::Device device) {
  at::Tensor hessian = statistics.hessian(device);
  hessian.diagonal().add_(kDamping * hessian.diagonal().mean().item<double>());
  return hessian;
}

// `upper` is that of the first run, so that all sweep with the same.
Found run(const Layer& layer, const SolverOptions& options, const at::Tensor& upper, Parts& parts) {
  StatisticsNeeds needs;
  needs.hessian = true;
  Statistics statistics(layer.inputs.size(1), needs);
  const at::Tensor inputs = to_place(layer.inputs, DType::kFloat32, parts.device);
  parts.moments.seconds.push_back(seconds_of([&] {
    for (std::int64_t first = 0; first < inputs.size(0); first += kSequence) {
      statistics.add(inputs.narrow(0, first, std::min(kSequence, inputs.size(0) - first)));
    }
    (void)statistics.hessian_rows(0, 1);  // until the last sum is there
  }));
  Found found;
  at::Tensor work = damped(statistics, parts.device);
  found.hessian = work.cpu().clone();
  bool definite = false;
  parts.factor.seconds.push_back(seconds_of([&] {
    if (parts.device.is_cpu()) {
      definite = invert_factor_in_place(work);
    } else if (std::optional<at::Tensor> factor = inverse_upper_factor(std::move(work))) {
      work = *factor;
      definite = true;
    }
  }));
  if (!definite) fail(ErrorCode::kInternal, "the Hessian of the measurement is not definite");
  found.upper = work.cpu();

  const at::Tensor factor = to_place(upper.defined() ? upper : found.upper, DType::kFloat32, parts.device);
  SweepRequest request = make_request(layer.weight, factor, layer.plan, options, GroupSource::kFresh);
  request.device = parts.device;
  SweepResult swept;
  parts.columns.seconds.push_back(seconds_of([&] { swept = sweep_columns(request); }));
  found.loss = found.loss_by_library = swept.loss.sum().item<double>();
  if (!parts.device.is_cpu() && kernel_takes(request)) {
    request.allow_kernel = false;
    SweepResult by_library;
    parts.columns_by_library.seconds.push_back(seconds_of([&] { by_library = sweep_columns(request); }));
    found.loss_by_library = by_library.loss.sum().item<double>();
  }
  const at::Tensor change = layer.weight.sub(as_weight(std::move(swept), request).dequantize());
  const at::Tensor matrices[] = {layer.weight, change, layer.weight.round()};
  parts.errors.seconds.push_back(seconds_of([&] { found.norms = output_norms(matrices, statistics, parts.device); }));
  const double added = kDamping * statistics.hessian().diagonal().mean().item<double>();
  found.error =
      found.norms[1] * found.norms[1] + added * to_dtype(change, DType::kFloat64).square().sum().item<double>();
  return found;
}

void expect_share(const std::string& what, double found, double expected, double bound) {
  const double share = std::abs(found / expected - 1);
  fmt::print("  {}: {:.6g}, expected {:.6g} within {:g}: {:.2g} off\n", what, found, expected, bound, share);
  if (!(share <= bound))
    fail(ErrorCode::kData, "{}: {} is {} off {}, more than {}", what, found, share, expected, bound);
}

double size_of(const at::Tensor& matrix) { return matrix.square().sum().sqrt().item<double>(); }

void compare(const Found& there, const Found& here) {
  expect_share("loss of the columns, beside the error of the result", there.loss, there.error, kLossesAgree);
  expect_share("loss of the columns, beside LibTorch's alone", there.loss, there.loss_by_library, kLossesAgree);
  expect_share("loss of the columns, beside the CPU's", there.loss, here.loss, kLossesAgree);
  expect_share("output of the weight, beside the CPU's", there.norms[0], here.norms[0], kSumsAgree);
  expect_share("output of its whole numbers, beside the CPU's", there.norms[2], here.norms[2], kSumsAgree);
  expect_share("second moments, beside the CPU's", 1 + size_of(there.hessian.sub(here.hessian)) / size_of(here.hessian),
               1, kSumsAgree);
  // Both invert one matrix, but for the rounding of its products.
  expect_share("factor, beside the CPU's", 1 + size_of(there.upper.sub(here.upper)) / size_of(here.upper), 1,
               kLossesAgree);
}

}  // namespace

at::Tensor normal_numbers(std::int64_t rows, std::int64_t columns, const std::string& stream) {
  const Random random(1, stream);
  at::Tensor result = make_empty({rows, columns}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(result)) value = static_cast<float>(random.normal(counter++));
  return result;
}

SweepRequest make_request(const at::Tensor& weight, const at::Tensor& upper, const ColumnPlan& plan,
                          const SolverOptions& options, GroupSource source) {
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
  request.fits_extremes = fits_extremes(grid, Clip::kNone);
  request.fit = [grid](const at::Tensor& part, const SweepPlace&) { return fit_group(part, grid, Clip::kNone); };
  return request;
}

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void measure_parts(const LayerShape& shape, const SolverOptions& options) {
  const Layer layer{
      normal_numbers(shape.out, shape.in, "weight"), normal_numbers(options.tokens, shape.in, "inputs"),
      plan_columns(make_full({shape.in}, 1.0, DType::kFloat64), options.group, ColumnOrder::kNatural, false)};
  const bool beside = !options.device.is_cpu();
  Parts here(at::kCPU, shape, options.tokens);
  Parts there(options.device, shape, options.tokens);
  Found found_here, found_there;
  for (int i = 0; i < options.runs; ++i) {
    found_here = run(layer, options, {}, here);
    if (beside) found_there = run(layer, options, found_here.upper, there);
  }
  fmt::print("{} x {}, {} tokens\n", shape.out, shape.in, options.tokens);
  here.print();
  if (!beside) return;
  there.print();
  compare(found_there, found_here);
}

}  // namespace lowbit::bench
