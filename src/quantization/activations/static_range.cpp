#include "quantization/activations/static_range.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

using Bins = std::vector<Histogram::Bin>;
using Range = std::pair<double, double>;

// Candidates of the search: the whole range, shrunk by powers of this ratio down to a hundredth.
constexpr double kShrink = 0.97;
constexpr int kCandidates = 152;

std::int64_t total(const Bins& bins) {
  std::int64_t count = 0;
  for (const Histogram::Bin& bin : bins) count += bin.count;
  return count;
}

// The value below or at which a part of all numbers lies, by the order that `bins` have.
double quantile(const Bins& bins, double part) {
  const double wanted = part * static_cast<double>(total(bins));
  double seen = 0;
  for (const Histogram::Bin& bin : bins) {
    seen += static_cast<double>(bin.count);
    if (seen >= wanted) return bin.value;
  }
  return bins.back().value;
}

Bins magnitudes(const Bins& bins) {
  Bins result;
  for (const Histogram::Bin& bin : bins) result.push_back({std::abs(bin.value), bin.count});
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  return result;
}

Range percentile_range(const ActivationScheme& scheme, const Bins& bins, double part) {
  if (scheme.symmetry != Symmetry::kAsymmetric) {
    const double high = quantile(magnitudes(bins), part);
    return {-high, high};
  }
  const double tail = (1 - part) / 2;
  return {quantile(bins, tail), quantile(bins, 1 - tail)};
}

StaticRange least_error_range(const ActivationScheme& scheme, const Bins& bins) {
  double best = std::numeric_limits<double>::infinity();
  StaticRange found;
  double shrink = 1;
  for (int i = 0; i < kCandidates; ++i, shrink *= kShrink) {
    const StaticRange range = cover_range(scheme, bins.front().value * shrink, bins.back().value * shrink);
    const double error = rounding_error(scheme, range, bins);
    if (error < best) {
      best = error;
      found = range;
    }
  }
  return found;
}

Range moving_average(const at::Tensor& chunks, double momentum) {
  const auto values = values_of<float>(chunks);
  Range range{values[0], values[1]};
  for (std::size_t i = 2; i + 1 < values.size(); i += 2) {
    range.first = momentum * range.first + (1 - momentum) * values[i];
    range.second = momentum * range.second + (1 - momentum) * values[i + 1];
  }
  return range;
}

}  // namespace

void RangeOptions::visit(FieldVisitor& v) {
  v.choice("range", method, {"min_max", "percentile", "mse", "moving_average"},
           "static range for 'per: tensor': least to largest number of the calibration set; without the outermost "
           "numbers; of least squared rounding error; the moving average of each sequence's least and largest number");
  v.field("percentile", percentile, "part of the numbers, in percent, that 'range: percentile' keeps", {50, 100});
  v.field("momentum", momentum, "weight of the past in 'range: moving_average'", {0, 0.999});
}

StatisticsNeeds RangeOptions::needs() const {
  StatisticsNeeds needs;
  needs.channel_range = method == Method::kMinMax;
  needs.histogram = method == Method::kPercentile || method == Method::kMse;
  needs.chunk_range = method == Method::kMovingAverage;
  return needs;
}

double rounding_error(const ActivationScheme& scheme, const StaticRange& range, const Bins& bins) {
  std::vector<float> values;
  for (const Histogram::Bin& bin : bins) values.push_back(static_cast<float>(bin.value));
  const at::Tensor x = tensor_of(std::span<const float>(values));
  ActivationScheme per_tensor = scheme;
  per_tensor.per = ActivationScheme::Per::kTensor;
  const at::Tensor rounded = round_input(x, per_tensor, range).contiguous();
  const auto nearest = values_of<float>(rounded);
  double sum = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double error = static_cast<double>(nearest[i]) - bins[i].value;
    sum += static_cast<double>(bins[i].count) * error * error;
  }
  return sum / static_cast<double>(total(bins));
}

StaticRange fit_range(const ActivationScheme& scheme, const RangeOptions& options, const Statistics& statistics) {
  using Method = RangeOptions::Method;
  Range range;
  switch (options.method) {
    case Method::kMinMax:
      range = {statistics.channel_min().min().item<double>(), statistics.channel_max().max().item<double>()};
      break;
    case Method::kPercentile:
      range = percentile_range(scheme, statistics.histogram().bins(), options.percentile / 100);
      break;
    case Method::kMse: return least_error_range(scheme, statistics.histogram().bins());
    case Method::kMovingAverage: range = moving_average(statistics.chunk_ranges(), options.momentum); break;
  }
  return cover_range(scheme, range.first, range.second);
}

}  // namespace lowbit
