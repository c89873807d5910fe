#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "lowbit/base/half.h"
#include "lowbit/kernels/api.h"

namespace lowbit::gpu_verify {

using kernels::UnpackedWeight;

struct WeightCase {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t group;
  int bits;
  bool symmetric = true;
  bool moved = false;  ///< columns dealt to groups in turn
};

/// Random codes and zeros, scales of ordinary size and both signs that float16 holds.
inline UnpackedWeight make_weight(const WeightCase& c, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  UnpackedWeight weight;
  weight.shape.rows = c.rows;
  weight.shape.columns = c.columns;
  weight.shape.groups = (c.columns - 1) / c.group + 1;
  weight.shape.bits = c.bits;
  weight.shape.scale_storage = kernels::ScaleStorage::kFloat16;
  weight.shape.group = c.group;
  const std::uint64_t levels = std::uint64_t{1} << c.bits;
  weight.codes.resize(static_cast<std::size_t>(c.rows * c.columns));
  std::uint64_t draw = 0;
  for (std::size_t i = 0; i < weight.codes.size(); ++i) {
    draw = i % 8 == 0 ? engine() : draw >> 8;
    weight.codes[i] = static_cast<std::uint8_t>(draw % levels);
  }
  std::uniform_real_distribution<float> scale(0.001F, 0.1F);
  for (std::int64_t i = 0; i < c.rows * weight.shape.groups; ++i) {
    const float sign = engine() % 8 == 0 ? -1.0F : 1.0F;
    weight.scales.push_back(half_to_float(float_to_half(sign * scale(engine))));
    weight.zeros.push_back(static_cast<float>(c.symmetric ? levels / 2 : engine() % levels));
  }
  for (std::int64_t i = 0; c.moved && i < c.columns; ++i) {
    weight.group_index.push_back(static_cast<std::int32_t>(i % weight.shape.groups));
  }
  return weight;
}

inline std::vector<float> make_input(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(engine);
  return values;
}

inline std::vector<std::uint16_t> to_16_bits(const std::vector<float>& values, bool bfloat16) {
  std::vector<std::uint16_t> result;
  result.reserve(values.size());
  for (const float value : values) result.push_back(bfloat16 ? float_to_bfloat16(value) : float_to_half(value));
  return result;
}

}  // namespace lowbit::gpu_verify
