#include "kernels/sample_weight.h"

#include <array>

#include "lowbit/base/random.h"
#include "lowbit/kernels/two_level.h"

namespace lowbit::kernels {

UnpackedWeight sample_weight(const SampleShape& shape, std::string_view seed) {
  const Random random(1, seed);
  const std::uint64_t levels = std::uint64_t{1} << shape.bits;
  UnpackedWeight weight;
  weight.shape.rows = shape.rows;
  weight.shape.columns = shape.columns;
  weight.shape.groups = (shape.columns - 1) / shape.group + 1;
  weight.shape.bits = shape.bits;
  weight.shape.decoding = shape.decoding;
  weight.shape.scale_storage = shape.storage;
  weight.shape.group = shape.group;
  // Codes repeat after a prime number: drawing many takes longer than their products.
  std::array<std::uint8_t, 4099> drawn;
  for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = static_cast<std::uint8_t>(random.below(i, levels));
  const auto codes = static_cast<std::size_t>(shape.rows * shape.columns);
  weight.codes.resize(codes);
  for (std::size_t i = 0; i < codes; ++i) weight.codes[i] = drawn[i % drawn.size()];
  const Random scales = random.child("scales");
  const Random zeros = random.child("zeros");
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(shape.rows * weight.shape.groups); ++i) {
    if (shape.storage == ScaleStorage::kUint8) {
      const auto whole =
          static_cast<int>(1 + scales.below(i, static_cast<std::uint64_t>(largest_whole_scale(shape.bits))));
      const ZeroRange range = zeros_for(whole, shape.bits);
      weight.scales.push_back(static_cast<float>(whole) / 1024.0F);
      weight.zeros.push_back(static_cast<float>(i % 2 == 0 ? range.low : range.high));
      continue;
    }
    weight.scales.push_back(static_cast<float>(1 + scales.below(i, 1000)) / 1024.0F);
    if (shape.decoding != Decoding::kTable) weight.zeros.push_back(static_cast<float>(zeros.below(i, levels)));
  }
  for (std::uint64_t i = 0; shape.decoding == Decoding::kTable && i < levels; ++i) {
    weight.table.push_back(static_cast<float>(random.child("table").normal(i)));
  }
  return weight;
}

}  // namespace lowbit::kernels
