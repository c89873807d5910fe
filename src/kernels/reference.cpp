#include <algorithm>
#include <cmath>

#include "kernels/backend.h"
#include "kernels/layout.h"

// The arithmetic of every product, spelled out. Any shape; no attempt to be fast.
namespace lowbit::kernels {

namespace {

// A row's codes of one run, and its group's scale and zero.
struct DecodedRun {
  float scale = 0.0F;
  float zero = 0.0F;
  std::uint8_t codes[kRunColumns] = {};
};

DecodedRun decode(const Blocks& blocks, std::int64_t block, const Run& run, int lane) {
  DecodedRun result;
  result.scale = load_scale(blocks, block, run.group, lane);
  result.zero = load_zero(blocks, block, run.group, lane);
  const std::int64_t first = std::int64_t{run.first_step} * kStepColumns;
  for (std::int32_t i = 0; i < run.columns; ++i) result.codes[i] = load_code(blocks, block, first + i, lane);
  return result;
}

// Calls use(run index, run, decoded, lane, sums of the row) for every run of every row.
template <typename Use>
void for_each_run(const Call& call, Use&& use) {
  for (std::int64_t b = 0; b < call.block_count; ++b) {
    for (int lane = 0; lane < kBlockRows; ++lane) {
      for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
        const Run& run = call.blocks->runs[r];
        use(r, run, decode(*call.blocks, call.first_block + b, run, lane), call.sums + b * kBlockRows + lane);
      }
    }
  }
}

std::int64_t places_of(const Blocks& blocks) {
  const Run& last = blocks.runs[blocks.run_count - 1];
  return std::int64_t{last.first_step + last.steps} * kStepColumns;
}

std::int32_t exact_sum(const Call& call, std::int64_t token, const Run& run, const DecodedRun& decoded) {
  const auto* values = static_cast<const std::int16_t*>(call.values) + token * places_of(*call.blocks) +
                       std::int64_t{run.first_step} * kStepColumns;
  std::int32_t sum = 0;
  for (std::int32_t i = 0; i < run.columns; ++i) {
    sum += values[i] * (decoded.codes[i] - static_cast<std::int32_t>(decoded.zero));
  }
  return sum;
}

void multiply_int8(const Call& call) {
  std::int32_t group_sums[kCallTokens] = {};
  for_each_run(call, [&](std::int64_t, const Run& run, const DecodedRun& decoded, float* sums) {
    for (std::int64_t t = 0; t < call.tokens; ++t) {
      const std::int32_t sum = (run.opens ? 0 : group_sums[t]) + exact_sum(call, t, run, decoded);
      group_sums[t] = sum;
      float& f = sums[t * kCallRows];
      if (run.closes) f = std::fma(static_cast<float>(sum), decoded.scale, f);
    }
  });
}

void multiply_int8_two_level(const Call& call) {
  std::int32_t row_sums[kCallTokens] = {};
  const Blocks& blocks = *call.blocks;
  for (std::int64_t b = 0; b < call.block_count; ++b) {
    const std::int64_t block = call.first_block + b;
    for (int lane = 0; lane < kBlockRows; ++lane) {
      std::fill_n(row_sums, call.tokens, 0);
      for (std::int64_t r = 0; r < blocks.run_count; ++r) {
        const Run& run = blocks.runs[r];
        const DecodedRun decoded = decode(blocks, block, run, lane);
        const std::int32_t whole_scale = load_whole_scale(blocks, block, run.group, lane);
        for (std::int64_t t = 0; t < call.tokens; ++t) row_sums[t] += whole_scale * exact_sum(call, t, run, decoded);
      }
      const float scale = load_row_scale(blocks, block, lane);
      for (std::int64_t t = 0; t < call.tokens; ++t) {
        call.sums[t * kCallRows + b * kBlockRows + lane] = static_cast<float>(row_sums[t]) * scale;
      }
    }
  }
}

void multiply_int16(const Call& call) {
  for_each_run(call, [&](std::int64_t index, const Run& run, const DecodedRun& decoded, float* sums) {
    for (std::int64_t t = 0; t < call.tokens; ++t) {
      const float product = static_cast<float>(exact_sum(call, t, run, decoded)) * decoded.scale;
      float& f = sums[t * kCallRows];
      f = std::fma(product, call.run_scales[t * call.blocks->run_count + index], f);
    }
  });
}

void multiply_bfloat16(const Call& call) {
  float group_sums[kCallTokens] = {};
  const std::int64_t places = places_of(*call.blocks);
  for_each_run(call, [&](std::int64_t, const Run& run, const DecodedRun& decoded, float* sums) {
    for (std::int64_t t = 0; t < call.tokens; ++t) {
      const float* values = static_cast<const float*>(call.values) + t * places + run.first_step * kStepColumns;
      float& sum = group_sums[t];
      if (run.opens) sum = 0.0F;
      for (std::int32_t step = 0; step < run.steps; ++step) {
        float parts[2] = {};  // of even and of odd columns
        const std::int32_t end = std::min((step + 1) * kStepColumns, run.columns);
        for (std::int32_t i = step * kStepColumns; i < end; ++i) {
          parts[i % 2] = std::fma(values[i], static_cast<float>(decoded.codes[i]) - decoded.zero, parts[i % 2]);
        }
        sum += parts[0] + parts[1];
      }
      float& f = sums[t * kCallRows];
      if (run.closes) f = std::fma(sum, decoded.scale, f);
    }
  });
}

float decoded_weight(const Blocks& blocks, const DecodedRun& decoded, std::int32_t i) {
  if (blocks.zero_kind == ZeroKind::kTable) return decoded.scale * blocks.table[decoded.codes[i]];
  return decoded.scale * (static_cast<float>(decoded.codes[i]) - decoded.zero);
}

void multiply_float32(const Call& call) {
  const Blocks& blocks = *call.blocks;
  const std::int64_t places = places_of(blocks);
  for (std::int64_t b = 0; b < call.block_count; ++b) {
    const std::int64_t block = call.first_block + b;
    for (int lane = 0; lane < kBlockRows; ++lane) {
      std::int64_t outlier = blocks.outlier_begin[block];
      for (std::int64_t r = 0; r < blocks.run_count; ++r) {
        const Run& run = blocks.runs[r];
        const DecodedRun decoded = decode(blocks, block, run, lane);
        for (std::int32_t i = 0; i < run.columns; ++i) {
          const std::int64_t place = std::int64_t{run.first_step} * kStepColumns + i;
          float weight = decoded_weight(blocks, decoded, i);
          for (; outlier < blocks.outlier_begin[block + 1] && blocks.outlier_columns[outlier] <= place; ++outlier) {
            const bool here = blocks.outlier_columns[outlier] == place && blocks.outlier_lanes[outlier] == lane;
            if (here) weight = blocks.outlier_values[outlier];
          }
          for (std::int64_t t = 0; t < call.tokens; ++t) {
            float& f = call.sums[t * kCallRows + b * kBlockRows + lane];
            f = std::fma(static_cast<const float*>(call.values)[t * places + place], weight, f);
          }
        }
      }
    }
  }
}

}  // namespace

const Kernel* select_reference(Arithmetic arithmetic, int, std::int64_t) {
  static constexpr Kernel kInt8 = {"one by one", Form::kPlain, 1, multiply_int8};
  static constexpr Kernel kInt16 = {"one by one", Form::kPlain, 1, multiply_int16};
  static constexpr Kernel kInt8TwoLevel = {"one by one", Form::kPlain, 1, multiply_int8_two_level};
  static constexpr Kernel kBFloat16 = {"one by one", Form::kFloats, 1, multiply_bfloat16};
  static constexpr Kernel kFloat32 = {"one by one", Form::kFloats, 1, multiply_float32};
  switch (arithmetic) {
    case Arithmetic::kInt8: return &kInt8;
    case Arithmetic::kInt16: return &kInt16;
    case Arithmetic::kInt8TwoLevel: return &kInt8TwoLevel;
    case Arithmetic::kBFloat16: return &kBFloat16;
    case Arithmetic::kFloat32: break;
  }
  return &kFloat32;
}

}  // namespace lowbit::kernels
