#include "efficiency/gemm_operands.h"

#include <fmt/format.h>

#include <algorithm>

#include "lowbit/base/random.h"
#include "lowbit/kernels/two_level.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {

using kernels::PackedWeight;

// Numbers that repeat after a prime count: drawing 16 million each would take longer than the products.
std::vector<float> random_numbers(std::int64_t count, std::string_view name) {
  constexpr std::size_t kDrawn = 65521;
  const Random random(1, name);
  std::vector<float> drawn(std::min(kDrawn, static_cast<std::size_t>(count)));
  for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = static_cast<float>(random.normal(i));
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = drawn[i % drawn.size()];
  return numbers;
}

at::Tensor random_matrix(std::int64_t rows, std::int64_t columns, std::string_view name) {
  return tensor_of(random_numbers(rows * columns, name)).view({rows, columns});
}

PackedWeight random_weight(const GemmBenchOptions& options, int bits, std::int64_t group,
                           kernels::ScaleStorage storage) {
  const Random random(bits, "bench/codes");
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(options.rows * options.columns));
  for (std::size_t i = 0; i < codes.size(); i += 8) {
    std::uint64_t drawn = random.bits(i);
    for (std::size_t j = i; j < std::min(i + 8, codes.size()); ++j, drawn >>= 8) {
      codes[j] = static_cast<std::uint8_t>(drawn & ((1U << bits) - 1U));
    }
  }
  kernels::CanonicalWeight weight;
  weight.rows = options.rows;
  weight.columns = options.columns;
  weight.group = group == -1 ? options.columns : group;
  weight.groups = (options.columns - 1) / weight.group + 1;
  weight.bits = bits;
  weight.scale_storage = storage;
  std::vector<float> scales;
  std::vector<float> zeros;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(weight.rows * weight.groups); ++i) {
    if (storage == kernels::ScaleStorage::kUint8) {
      const int most = kernels::largest_whole_scale(bits);
      const int whole = most / 2 + static_cast<int>(random.below(2 * i, static_cast<std::uint64_t>(most / 2))) + 1;
      const kernels::ZeroRange range = kernels::zeros_for(whole, bits);
      const auto zero = random.below(2 * i + 1, static_cast<std::uint64_t>(range.high - range.low) + 1);
      scales.push_back(static_cast<float>(whole) / 1024.0F);
      zeros.push_back(static_cast<float>(range.low + static_cast<int>(zero)));
      continue;
    }
    scales.push_back(static_cast<float>(1024 + random.below(2 * i, 1024)) / 65536.0F);
    zeros.push_back(static_cast<float>(random.below(2 * i + 1, std::uint64_t{1} << bits)));
  }
  weight.codes = codes;
  weight.scales = scales;
  weight.zeros = zeros;
  return PackedWeight::pack(weight, pool_executor());
}

std::string product_name(std::string_view arithmetic, int bits, std::int64_t group) {
  return fmt::format("{}, {} bits, {}", arithmetic, bits,
                     group == -1 ? std::string("one a row") : fmt::format("group {}", group));
}

}  // namespace lowbit
