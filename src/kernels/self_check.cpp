#include <fmt/format.h>

#include <cstring>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/sample_weight.h"
#include "lowbit/base/random.h"

namespace lowbit::kernels {

namespace {

// A part of a block, two runs in one group and a ragged last one.
constexpr std::int64_t kRows = 20;
constexpr std::int64_t kColumns = 329;

std::vector<float> run(const Backend& backend, const PackedWeight& weight, Arithmetic arithmetic,
                       std::span<const float> input, std::int64_t tokens) {
  std::vector<float> output(static_cast<std::size_t>(tokens * weight.rows()));
  std::vector<std::byte> space(largest_workspace(weight, tokens));
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
  for (const Arithmetic arithmetic : {Arithmetic::kFloat32, Arithmetic::kInt8, Arithmetic::kInt16,
                                      Arithmetic::kInt8TwoLevel, Arithmetic::kBFloat16}) {
    if (arithmetic == Arithmetic::kInt8TwoLevel && unpacked.shape.scale_storage != ScaleStorage::kUint8) continue;
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
  constexpr std::string_view kSeed = "kernels/self-check";
  std::vector<float> input(11 * kColumns);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(random.normal(i));
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t group : {64, 300}) {
      for (const auto& [decoding, storage] : {std::pair(Decoding::kWholeZero, ScaleStorage::kFloat16),
                                              std::pair(Decoding::kTable, ScaleStorage::kFloat16),
                                              std::pair(Decoding::kWholeZero, ScaleStorage::kUint8)}) {
        if (storage == ScaleStorage::kUint8 && bits > 4) continue;
        std::string problem =
            check_weight_on(backend, sample_weight({kRows, kColumns, group, bits, decoding, storage}, kSeed), input);
        if (!problem.empty()) return problem;
      }
    }
  }
  return {};
}

}  // namespace lowbit::kernels
