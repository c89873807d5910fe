#include "calibration/ranges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {

ChannelRanges channel_ranges(const at::Tensor& x) {
  constexpr std::int64_t kChannelsAtOnce = 64;
  const std::int64_t rows = x.size(0);
  const std::int64_t channels = x.size(1);
  ChannelRanges result{make_full({channels}, std::numeric_limits<double>::infinity(), DType::kFloat32),
                       make_full({channels}, -std::numeric_limits<double>::infinity(), DType::kFloat32),
                       make_zeros({channels}, DType::kFloat64)};
  const float* values = values_of<float>(x).data();
  float* low = mutable_values_of<float>(result.min).data();
  float* high = mutable_values_of<float>(result.max).data();
  double* sum = mutable_values_of<double>(result.abs_sum).data();
  parallel_for(channels, kChannelsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* row = values + i * channels;
      for (std::int64_t c = begin; c < end; ++c) {
        low[c] = std::min(low[c], row[c]);
        high[c] = std::max(high[c], row[c]);
        sum[c] += std::abs(static_cast<double>(row[c]));
      }
    }
  });
  return result;
}

}  // namespace lowbit
