#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "kernels/backend.h"
#include "kernels/layout.h"
#include "lowbit/base/random.h"

namespace lowbit::kernels {

namespace {

// A part of a block, two runs in one group and a ragged last one, 20 x 329.
UnpackedWeight small_weight(int bits, Decoding decoding, std::int64_t group) {
  constexpr std::int64_t kRows = 20;
  constexpr std::int64_t kColumns = 329;
  const Random random(1, "kernels/self-check");
  UnpackedWeight weight;
  weight.shape.rows = kRows;
  weight.shape.columns = kColumns;
  weight.shape.groups = (kColumns - 1) / group + 1;
  weight.shape.bits = bits;
  weight.shape.decoding = decoding;
  weight.shape.scale_storage = ScaleStorage::kFloat16;
  weight.shape.group = group;
  for (std::uint64_t i = 0; i < kRows * kColumns; ++i) {
    weight.codes.push_back(static_cast<std::uint8_t>(random.below(i, std::uint64_t{1} << bits)));
  }
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(kRows * weight.shape.groups); ++i) {
    weight.scales.push_back(static_cast<float>(1 + random.below(i + 10000, 1000)) / 1024.0F);
    const auto zero = static_cast<float>(random.below(i + 20000, std::uint64_t{1} << bits));
    if (decoding != Decoding::kTable) weight.zeros.push_back(zero);
  }
  for (int i = 0; decoding == Decoding::kTable && i < 1 << bits; ++i) {
    weight.table.push_back(static_cast<float>(random.normal(static_cast<std::uint64_t>(i) + 30000)));
  }
  return weight;
}

std::vector<float> run(const Backend& backend, const PackedWeight& weight, Arithmetic arithmetic,
                       std::span<const float> input, std::int64_t tokens) {
  std::vector<float> output(static_cast<std::size_t>(tokens * weight.rows()));
  // Enough for every form: four words a quad, and scales and sums of runs.
  std::vector<std::byte> space(static_cast<std::size_t>(tokens) * 8 * sizeof(float) *
                                   static_cast<std::size_t>(weight.layout().padded_columns()) +
                               1024);
  multiply_on(backend, {weight,
                        arithmetic,
                        {input.data(), tokens, weight.columns(), weight.columns()},
                        {output.data(), tokens, weight.rows(), weight.rows()},
                        {},
                        space,
                        {},
                        {}});
  return output;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string check_weight_on(const Backend& backend, const UnpackedWeight& unpacked, std::span<const float> input) {
  const PackedWeight weight = PackedWeight::pack(unpacked.view());
  const Backend& reference = all_backends().front();
  for (const Arithmetic arithmetic : {Arithmetic::kFloat32, Arithmetic::kInt8, Arithmetic::kInt16}) {
    if (arithmetic != Arithmetic::kFloat32 && unpacked.shape.decoding != Decoding::kWholeZero) continue;
    for (const std::int64_t tokens : {1, 2, 3, 4, 11}) {
      if (same_bits(run(backend, weight, arithmetic, input, tokens),
                    run(reference, weight, arithmetic, input, tokens))) {
        continue;
      }
      return fmt::format("its {} product of {} bits, group {}, {} tokens differs from the reference's",
                         arithmetic_name(arithmetic), unpacked.shape.bits, unpacked.shape.group, tokens);
    }
  }
  return {};
}

}  // namespace

std::string self_check(const Backend& backend) {
  if (&backend == &all_backends().front()) return {};
  const Random random(2, "kernels/self-check/input");
  std::vector<float> input(11 * 329);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(random.normal(i));
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t group : {64, 300}) {
      for (const Decoding decoding : {Decoding::kWholeZero, Decoding::kTable}) {
        std::string problem = check_weight_on(backend, small_weight(bits, decoding, group), input);
        if (!problem.empty()) return problem;
      }
    }
  }
  return {};
}

}  // namespace lowbit::kernels
