#include "lowbit/calibration/histogram.h"

#include <bit>

#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

constexpr std::uint32_t kSign = 1U << 31;

double middle(std::size_t bin) {
  const auto low = static_cast<std::uint32_t>(bin) << Histogram::kDroppedBits;
  return static_cast<double>(std::bit_cast<float>(low | (1U << (Histogram::kDroppedBits - 1))));
}

}  // namespace

void Histogram::add(const at::Tensor& values) {
  for (const float value : values_of<float>(values)) {
    const std::uint32_t bits = value == 0.0F ? 0U : std::bit_cast<std::uint32_t>(value);
    ++counts_[bits >> kDroppedBits];
  }
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t bin = 0; bin < kBins; ++bin) counts_[bin] += other.counts_[bin];
}

// Negative numbers grow with the bits of their magnitude, so theirs come first, backwards. The lowest bin holds 0 and
// numbers that are as good as 0.
std::vector<Histogram::Bin> Histogram::bins() const {
  const std::size_t first_negative = kSign >> kDroppedBits;
  std::vector<Bin> result;
  for (std::size_t bin = kBins; bin-- > first_negative;) {
    if (counts_[bin] > 0) result.push_back({middle(bin), counts_[bin]});
  }
  for (std::size_t bin = 0; bin < first_negative; ++bin) {
    if (counts_[bin] > 0) result.push_back({bin == 0 ? 0.0 : middle(bin), counts_[bin]});
  }
  return result;
}

}  // namespace lowbit
