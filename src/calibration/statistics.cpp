#include "lowbit/calibration/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "calibration/ranges.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/gram.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

void check_chunk(const at::Tensor& x, std::int64_t channels, std::string_view what) {
  if (x.defined() && x.dim() == 2 && x.size(1) == channels) return;
  fail(ErrorCode::kInternal, "statistics: {} has shape {}, expected [tokens, {}]", what,
       x.defined() ? shape_text(shape_of(x)) : "of nothing", channels);
}

void check_finite(const at::Tensor& x, std::int64_t first_row) {
  if (all_finite(x)) return;
  const at::Tensor place = x.isfinite().logical_not().nonzero().select(0, 0);
  fail(ErrorCode::kData,
       "activation is not finite at calibration token {}, channel {}; the model is damaged or its numbers overflow",
       first_row + place.select(0, 0).item<std::int64_t>(), place.select(0, 1).item<std::int64_t>());
}

// Another matrix, wherever the first one lies.
at::Tensor copy_to(const at::Tensor& matrix, at::Device device) {
  return matrix.to(matrix.options().device(device), false, true);
}

at::Tensor symmetric(const at::Tensor& matrix) { return matrix.add(matrix.t()).mul_(0.5); }

}  // namespace

StatisticsNeeds operator|(const StatisticsNeeds& a, const StatisticsNeeds& b) {
  if (!a.any()) return b;
  if (!b.any()) return a;
  LOWBIT_ASSERT(a.stream == b.stream);
  return {.hessian = a.hessian || b.hessian,
          .cross = a.cross || b.cross,
          .channel_range = a.channel_range || b.channel_range,
          .histogram = a.histogram || b.histogram,
          .chunk_range = a.chunk_range || b.chunk_range,
          .sample_tokens = std::max(a.sample_tokens, b.sample_tokens),
          .stream = a.stream};
}

Statistics::Statistics(std::int64_t channels, const StatisticsNeeds& needs) : channels_(channels), needs_(needs) {
  LOWBIT_ASSERT(channels > 0 && needs.sample_tokens >= 0);
  if (needs.hessian) gram_ = make_zeros({channels, channels}, DType::kFloat64);
  if (needs.cross) cross_ = make_zeros({channels, channels}, DType::kFloat64);
  if (needs.channel_range) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    min_ = make_full({channels}, kInfinity, DType::kFloat32);
    max_ = make_full({channels}, -kInfinity, DType::kFloat32);
    abs_sum_ = make_zeros({channels}, DType::kFloat64);
  }
  if (needs.histogram) histogram_.emplace();
  if (needs.chunk_range) chunk_ranges_ = make_zeros({0, 2}, DType::kFloat32);
  if (needs.sample_tokens > 0) sample_ = make_zeros({0, channels}, DType::kFloat32);
}

void Statistics::add(const at::Tensor& x, const at::Tensor& x_float, std::int64_t first_row) {
  const NoGradScope no_grad;
  check_chunk(x, channels_, "x");
  LOWBIT_ASSERT(x_float.defined() == needs_.cross);
  if (first_row < 0) first_row = tokens_;
  const at::Tensor there = to_dtype(x, DType::kFloat32).contiguous();
  check_finite(there, first_row);
  if (needs_.hessian) {
    move_sums(gram_, there.device());
    add_gram(gram_, there);
  }
  if (needs_.cross) {
    check_chunk(x_float, channels_, "x_float");
    const at::Tensor other = to_place(x_float, DType::kFloat32, there.device());
    check_finite(other, first_row);
    move_sums(cross_, there.device());
    add_cross_gram(cross_, other.sub(there), there);
  }
  tokens_ += there.size(0);
  if (needs_.channel_range || needs_.histogram || needs_.chunk_range || needs_.sample_tokens > 0) {
    add_in_main_memory(there.cpu(), first_row);
  }
}

// Before the first chunk there is nothing to move but zeros.
void Statistics::move_sums(at::Tensor& sums, at::Device device) const {
  if (sums.device() == device) return;
  sums = tokens_ == 0 ? sums.new_zeros(sums.sizes(), sums.options().device(device)) : sums.to(device);
}

void Statistics::to_main_memory() {
  if (needs_.hessian) gram_ = gram_.cpu();
  if (needs_.cross) cross_ = cross_.cpu();
}

void Statistics::add_in_main_memory(const at::Tensor& rows, std::int64_t first_row) {
  if (needs_.channel_range) add_ranges(rows);
  if (needs_.histogram) histogram_->add(rows);
  if (needs_.chunk_range && rows.size(0) > 0) {
    chunk_ranges_ = concatenate({chunk_ranges_, stack_tensors({rows.min(), rows.max()}, 0).unsqueeze(0)}, 0);
  }
  if (needs_.sample_tokens > 0) {
    const Random random(0, "calibration/sample");
    std::vector<SampledRow> places;
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      places.push_back({random.bits(static_cast<std::uint64_t>(first_row + i)), first_row + i});
    }
    merge_sample(places, rows);
  }
}

void Statistics::add_ranges(const at::Tensor& x) {
  ChannelRanges part = channel_ranges(x);
  min_ = min_.minimum(part.min);
  max_ = max_.maximum(part.max);
  abs_sum_.add_(part.abs_sum);
}

// Keeps the rows of the smallest keys of both lists, so that neither order nor grouping of merges changes the sample.
void Statistics::merge_sample(const std::vector<SampledRow>& rows, const at::Tensor& values) {
  struct Candidate {
    SampledRow place;
    std::int64_t index;  // of the row among `sample_` followed by `values`
  };
  std::vector<Candidate> candidates;
  for (const SampledRow& place : sample_rows_)
    candidates.push_back({place, static_cast<std::int64_t>(candidates.size())});
  for (const SampledRow& place : rows) candidates.push_back({place, static_cast<std::int64_t>(candidates.size())});
  const auto wanted = std::min(candidates.size(), static_cast<std::size_t>(needs_.sample_tokens));
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.place.key != b.place.key ? a.place.key < b.place.key : a.place.row < b.place.row;
  });
  candidates.resize(wanted);
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.place.row < b.place.row; });
  std::vector<std::int64_t> indices;
  sample_rows_.clear();
  for (const Candidate& candidate : candidates) {
    indices.push_back(candidate.index);
    sample_rows_.push_back(candidate.place);
  }
  sample_ = concatenate({sample_, values}, 0).index_select(0, tensor_of(std::span<const std::int64_t>(indices)));
}

void Statistics::merge(const Statistics& other) {
  const NoGradScope no_grad;
  LOWBIT_ASSERT(other.channels_ == channels_ && other.needs_ == needs_);
  if (needs_.hessian) gram_.add_(other.gram_.to(gram_.device()));
  if (needs_.cross) cross_.add_(other.cross_.to(cross_.device()));
  if (needs_.channel_range) {
    min_ = min_.minimum(other.min_);
    max_ = max_.maximum(other.max_);
    abs_sum_.add_(other.abs_sum_);
  }
  if (needs_.histogram) histogram_->merge(*other.histogram_);
  if (needs_.chunk_range) chunk_ranges_ = concatenate({chunk_ranges_, other.chunk_ranges_}, 0);
  if (needs_.sample_tokens > 0) merge_sample(other.sample_rows_, other.sample_);
  mapped_ = mapped_ || other.mapped_;
  ranges_lost_ = ranges_lost_ || other.ranges_lost_;
  tokens_ += other.tokens_;
}

void Statistics::require(bool collected, std::string_view what) const {
  if (!collected) fail(ErrorCode::kInternal, "statistics: {} was not asked for", what);
  if (tokens_ == 0) fail(ErrorCode::kInternal, "statistics: {} of no tokens", what);
}

at::Tensor Statistics::hessian(at::Device device) const {
  require(needs_.hessian, "the Hessian");
  at::Tensor result = copy_to(gram_, device).mul_(2.0 / static_cast<double>(tokens_));
  mirror_lower_triangle(result);
  return result;
}

at::Tensor Statistics::hessian_rows(std::int64_t begin, std::int64_t end, at::Device device) const {
  require(needs_.hessian, "the Hessian");
  LOWBIT_ASSERT(0 <= begin && begin < end && end <= channels_);
  const std::int64_t count = end - begin;
  const at::Tensor own = gram_.narrow(0, begin, count);
  at::Tensor square = own.narrow(1, begin, count).clone(at::MemoryFormat::Contiguous);
  mirror_lower_triangle(square);
  at::Tensor result = own.new_empty({count, channels_});
  result.narrow(1, 0, begin).copy_(own.narrow(1, 0, begin));
  result.narrow(1, begin, count).copy_(square);
  result.narrow(1, end, channels_ - end).copy_(gram_.narrow(0, end, channels_ - end).narrow(1, begin, count).t());
  return result.mul_(2.0 / static_cast<double>(tokens_)).to(device);
}

at::Tensor Statistics::cross(at::Device device) const {
  require(needs_.cross, "the cross term");
  return copy_to(cross_, device).mul_(2.0 / static_cast<double>(tokens_));
}

void Statistics::require_ranges() const {
  require(needs_.channel_range, "the channel range");
  if (ranges_lost_) fail(ErrorCode::kInternal, "statistics: the channel range is unknown after a rotation");
}

at::Tensor Statistics::channel_min() const {
  require_ranges();
  return min_.clone();
}

at::Tensor Statistics::channel_max() const {
  require_ranges();
  return max_.clone();
}

at::Tensor Statistics::channel_absmax() const {
  require_ranges();
  return min_.abs().maximum(max_.abs());
}

at::Tensor Statistics::channel_absmean() const {
  require_ranges();
  return abs_sum_.div(static_cast<double>(tokens_));
}

void Statistics::require_unmapped(bool collected, std::string_view what) const {
  require(collected, what);
  if (mapped_) fail(ErrorCode::kInternal, "statistics: {} is unknown after the inputs were mapped", what);
}

const Histogram& Statistics::histogram() const {
  require_unmapped(needs_.histogram, "the histogram");
  return *histogram_;
}

at::Tensor Statistics::chunk_ranges() const {
  require_unmapped(needs_.chunk_range, "the range of chunks");
  return chunk_ranges_.clone();
}

at::Tensor Statistics::sample() const {
  require(needs_.sample_tokens > 0, "a sample");
  return sample_.clone();
}

void Statistics::apply_diagonal(const at::Tensor& scale) {
  const NoGradScope no_grad;
  LOWBIT_ASSERT(scale.dim() == 1 && scale.size(0) == channels_);
  const at::Tensor wide = to_dtype(scale, DType::kFloat64);
  const at::Tensor narrow = to_dtype(scale, DType::kFloat32);
  LOWBIT_ASSERT(all_finite(wide) && narrow.ne(0).all().item<bool>());
  to_main_memory();
  const at::Tensor products = wide.unsqueeze(0).mul(wide.unsqueeze(1));  // symmetric, as the Hessian must stay
  if (needs_.hessian) gram_ = gram_.div(products);
  if (needs_.cross) cross_ = cross_.div(products);
  if (needs_.channel_range) {
    const at::Tensor low = min_.div(narrow);
    const at::Tensor high = max_.div(narrow);
    min_ = low.minimum(high);
    max_ = low.maximum(high);
    abs_sum_ = abs_sum_.div(wide.abs());
  }
  if (needs_.sample_tokens > 0) sample_ = sample_.div(narrow);
  mapped_ = true;
}

void Statistics::apply_rotation(const at::Tensor& rotation) {
  const NoGradScope no_grad;
  const SingleThreadScope one_thread;  // LibTorch's float64 products may change with the number of threads
  LOWBIT_ASSERT(rotation.dim() == 2 && rotation.size(0) == channels_ && rotation.size(1) == channels_);
  to_main_memory();
  const at::Tensor q = to_dtype(rotation, DType::kFloat64);
  if (needs_.hessian) {
    mirror_lower_triangle(gram_);
    gram_ = symmetric(q.t().matmul(gram_).matmul(q));
  }
  if (needs_.cross) cross_ = q.t().matmul(cross_).matmul(q);
  if (needs_.sample_tokens > 0) {
    sample_ = to_dtype(to_dtype(sample_, DType::kFloat64).matmul(q), DType::kFloat32);
  }
  ranges_lost_ = true;
  mapped_ = true;
}

}  // namespace lowbit
