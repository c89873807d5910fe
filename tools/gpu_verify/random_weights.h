#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <thread>
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
  bool table = false;  ///< codes stand for numbers of a table: of 16 that no 16 bits hold, or of E4M3
};

/// As OCP defines E4M3.
inline float e4m3_number(int code) {
  const int exponent = code / 8 % 16;
  const int significand = exponent == 0 ? code % 8 : 8 + code % 8;
  float value = std::ldexp(static_cast<float>(significand), std::max(exponent, 1) - 10);
  if (code % 128 == 127) value = std::nanf("");
  return code < 128 ? value : -value;
}

inline std::vector<float> make_table(int bits) {
  std::vector<float> table;
  for (int code = 0; code < 1 << bits; ++code) {
    table.push_back(bits == 8 ? e4m3_number(code) : std::sin(0.37F * static_cast<float>(code)));
  }
  return table;
}

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
  if (c.table) {
    weight.shape.decoding = kernels::Decoding::kTable;
    weight.zeros.clear();
    weight.table = make_table(c.bits);
    for (std::uint8_t& code : weight.codes) {
      if (std::isnan(weight.table[code])) --code;
    }
  }
  for (std::int64_t i = 0; c.moved && i < c.columns; ++i) {
    weight.group_index.push_back(static_cast<std::int32_t>(i % weight.shape.groups));
  }
  return weight;
}

/// All of the machine's threads: device time is short, and packing 45 million codes on one takes seconds.
inline kernels::Executor all_threads() {
  const auto parallel_for = [](void*, std::int64_t count, kernels::Executor::Body body, void* state) {
    const auto threads = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
    const std::int64_t part = (count + threads - 1) / threads;
    std::vector<std::thread> workers;
    for (std::int64_t begin = 0; begin < count; begin += part) {
      workers.emplace_back(body, state, begin, std::min(count, begin + part));
    }
    for (std::thread& worker : workers) worker.join();
  };
  return {parallel_for, nullptr};
}

/// Packed for the CPU, and then for the GPU.
inline kernels::PackedWeight pack_for_cpu(const WeightCase& c, std::uint64_t seed) {
  return kernels::PackedWeight::pack(make_weight(c, seed).view(), all_threads());
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
