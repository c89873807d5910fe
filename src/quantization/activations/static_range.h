#pragma once

#include "lowbit/calibration/statistics.h"
#include "lowbit/config/fields.h"
#include "quantization/activations/input_rounding.h"

namespace lowbit {

/// How the range of a scheme per tensor comes out of calibration.
struct RangeOptions {
  enum class Method {
    kMinMax,         ///< least to largest number met
    kPercentile,     ///< all but the given part of the numbers
    kMse,            ///< least squared rounding error over the histogram
    kMovingAverage,  ///< of each sequence's least and largest number
  };
  Method method = Method::kMinMax;
  double percentile = 99.99;
  double momentum = 0.9;
  void visit(FieldVisitor& v);
  [[nodiscard]] StatisticsNeeds needs() const;
  friend bool operator==(const RangeOptions&, const RangeOptions&) = default;
};

[[nodiscard]] StaticRange fit_range(const ActivationScheme& scheme, const RangeOptions& options,
                                    const Statistics& statistics);

/// Mean squared error of rounding what a histogram counts.
[[nodiscard]] double rounding_error(const ActivationScheme& scheme, const StaticRange& range,
                                    const std::vector<Histogram::Bin>& bins);

}  // namespace lowbit
