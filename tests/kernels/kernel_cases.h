#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "lowbit/base/half.h"
#include "lowbit/base/random.h"
#include "lowbit/kernels/api.h"
#include "lowbit/kernels/two_level.h"

namespace lowbit::kernels::testing {

struct WeightCase {
  std::int64_t rows = 16;
  std::int64_t columns = 64;
  std::int64_t group = 32;
  int bits = 4;
  Decoding decoding = Decoding::kWholeZero;
  bool symmetric = false;
  ScaleStorage storage = ScaleStorage::kFloat16;
  bool act_order = false;
  std::int64_t outliers = 0;
};

inline std::ostream& operator<<(std::ostream& out, const WeightCase& c) {
  static constexpr const char* kStorages[] = {"float32", "float16", "bfloat16", "uint8"};
  return out << "[" << c.rows << ", " << c.columns << "], " << c.bits << " bits, group " << c.group << ", decoding "
             << static_cast<int>(c.decoding) << ", " << kStorages[static_cast<int>(c.storage)] << " scales"
             << (c.symmetric ? ", symmetric" : "") << (c.act_order ? ", act order" : "") << ", " << c.outliers
             << " outliers";
}

inline constexpr Arithmetic kArithmetics[] = {Arithmetic::kFloat32, Arithmetic::kInt8, Arithmetic::kInt16,
                                              Arithmetic::kInt8TwoLevel, Arithmetic::kBFloat16};

inline bool legal(const WeightCase& c, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kInt8TwoLevel) return c.storage == ScaleStorage::kUint8;
  return arithmetic == Arithmetic::kFloat32 || c.decoding == Decoding::kWholeZero;
}

inline float stored(float value, ScaleStorage storage) {
  if (storage == ScaleStorage::kFloat16) return half_to_float(float_to_half(value));
  return storage == ScaleStorage::kBFloat16 ? bfloat16_to_float(float_to_bfloat16(value)) : value;
}

inline void add_groups(UnpackedWeight& weight, const WeightCase& c, const Random& random) {
  const std::uint64_t levels = std::uint64_t{1} << c.bits;
  const auto count = static_cast<std::uint64_t>(c.rows * weight.shape.groups);
  for (std::uint64_t i = 0; c.storage == ScaleStorage::kUint8 && i < count; ++i) {
    const auto most = static_cast<std::uint64_t>(largest_whole_scale(c.bits));
    const auto whole = static_cast<int>(1 + random.child("whole").below(i, most));
    const std::uint64_t row = i / static_cast<std::uint64_t>(weight.shape.groups);
    const auto of_row = static_cast<float>(0.001 + 0.1 * random.child("rows").uniform(row));
    weight.scales.push_back(static_cast<float>(whole) * stored(of_row, ScaleStorage::kBFloat16));
    const ZeroRange zeros = zeros_for(whole, c.bits);
    const auto zero = random.child("zeros").below(i, static_cast<std::uint64_t>(zeros.high - zeros.low) + 1);
    weight.zeros.push_back(static_cast<float>(c.symmetric ? levels / 2 : zeros.low + static_cast<int>(zero)));
  }
  for (std::uint64_t i = weight.scales.size(); i < count; ++i) {
    const auto scale = static_cast<float>(0.001 + 0.1 * random.child("scales").uniform(i));
    weight.scales.push_back(stored(random.child("signs").below(i, 8) == 0 ? -scale : scale, c.storage));
    if (c.decoding == Decoding::kTable) continue;
    const auto whole = static_cast<float>(c.symmetric ? levels / 2 : random.child("zeros").below(i, levels));
    weight.zeros.push_back(c.decoding == Decoding::kRealZero ? whole + 0.37F : whole);
  }
  if (c.decoding == Decoding::kTable) {
    for (std::uint64_t i = 0; i < levels; ++i) {
      weight.table.push_back(static_cast<float>(random.child("table").normal(i)));
    }
  }
  if (!c.act_order) return;
  // Every column draws its group: groups differ in size, and some may be empty.
  for (std::int64_t i = 0; i < c.columns; ++i) {
    weight.group_index.push_back(static_cast<std::int32_t>(
        random.child("order").below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(weight.shape.groups))));
  }
}

inline UnpackedWeight make_weight(const WeightCase& c, std::uint64_t seed = 7) {
  const Random random(seed, "kernels/test");
  UnpackedWeight weight;
  weight.shape.rows = c.rows;
  weight.shape.columns = c.columns;
  weight.shape.groups = (c.columns - 1) / c.group + 1;
  weight.shape.bits = c.bits;
  weight.shape.decoding = c.decoding;
  weight.shape.scale_storage = c.storage;
  weight.shape.group = c.group;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(c.rows * c.columns); ++i) {
    weight.codes.push_back(static_cast<std::uint8_t>(random.below(i, std::uint64_t{1} << c.bits)));
  }
  add_groups(weight, c, random);
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < c.outliers; ++i) {
    places.push_back(static_cast<std::int64_t>(
        random.child("outliers").below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(c.rows * c.columns))));
  }
  std::ranges::sort(places);
  const auto repeated = std::ranges::unique(places);
  places.erase(repeated.begin(), repeated.end());
  for (const std::int64_t place : places) {
    weight.outlier_rows.push_back(static_cast<std::int32_t>(place / c.columns));
    weight.outlier_columns.push_back(static_cast<std::int32_t>(place % c.columns));
    weight.outlier_values.push_back(
        static_cast<float>(random.child("values").normal(static_cast<std::uint64_t>(place))));
  }
  return weight;
}

inline std::vector<float> make_input(std::int64_t tokens, std::int64_t columns, std::uint64_t seed = 3) {
  const Random random(seed, "kernels/test/input");
  std::vector<float> input(static_cast<std::size_t>(tokens * columns));
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(random.normal(i));
  return input;
}

struct Bits {
  std::vector<float> values;
  friend bool operator==(const Bits& a, const Bits& b) {
    return std::ranges::equal(a.values, b.values, [](float x, float y) {
      return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) || (std::isnan(x) && std::isnan(y));
    });
  }
};

/// The product by the public interface, into an output that was full of NaN.
inline Bits run_product(const PackedWeight& weight, Arithmetic arithmetic, const std::vector<float>& input,
                        std::string_view backend, const Epilogue& epilogue = {}, const Executor& executor = {}) {
  const auto tokens = static_cast<std::int64_t>(input.size()) / weight.columns();
  std::vector<float> output(static_cast<std::size_t>(tokens * weight.rows()), std::nanf(""));
  std::vector<std::byte> space(workspace_bytes(weight, arithmetic, tokens, backend));
  multiply({weight,
            arithmetic,
            {input.data(), tokens, weight.columns(), weight.columns()},
            {output.data(), tokens, weight.rows(), weight.rows()},
            epilogue,
            space,
            executor,
            backend});
  return {output};
}

/// Usable backends of this machine.
inline std::vector<std::string> usable_backends() {
  std::vector<std::string> names;
  for (const BackendState& state : backends()) {
    if (state.usable) names.push_back(state.name);
  }
  return names;
}

/// Cuts the work into parts of `context` items (an int64) and gives each to a thread of its own.
inline void run_on_threads(void* context, std::int64_t count, Executor::Body body, void* state) {
  const std::int64_t part = *static_cast<std::int64_t*>(context);
  std::vector<std::thread> threads;
  for (std::int64_t begin = 0; begin < count; begin += part) {
    threads.emplace_back(body, state, begin, std::min(count, begin + part));
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace lowbit::kernels::testing
