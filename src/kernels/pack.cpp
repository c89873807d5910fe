#include <algorithm>
#include <atomic>
#include <cstring>
#include <tuple>
#include <utility>

#include "kernels/executor.h"
#include "kernels/layout.h"
#include "kernels/pack_codes.h"
#include "lowbit/base/half.h"
#include "lowbit/kernels/two_level.h"

namespace lowbit::kernels {

namespace {

void store_scale(std::uint8_t* scales, std::int64_t index, float scale, ScaleStorage storage) {
  if (storage == ScaleStorage::kFloat32) {
    std::memcpy(scales + 4 * index, &scale, sizeof scale);
    return;
  }
  const std::uint16_t half = storage == ScaleStorage::kFloat16 ? float_to_half(scale) : float_to_bfloat16(scale);
  std::memcpy(scales + 2 * index, &half, sizeof half);
}

class Packer {
 public:
  Packer(const CanonicalWeight& weight, PackedLayout& layout) : weight_(weight), layout_(layout) {}

  void pack_block(std::int64_t block) const {
    std::uint8_t* target = layout_.data.get() + block * layout_.block_bytes;
    std::memset(target, 0, static_cast<std::size_t>(layout_.code_offset));
    const int lanes = static_cast<int>(std::min<std::int64_t>(kBlockRows, weight_.rows - block * kBlockRows));
    for (int lane = 0; lane < lanes; ++lane) store_parameters(target, block * kBlockRows + lane, lane);
    const std::uint8_t* codes = weight_.codes.data() + block * kBlockRows * weight_.columns;
    if (layout_.sources.empty() && lanes == kBlockRows) {
      const std::uint8_t* rows[kBlockRows];
      for (int lane = 0; lane < kBlockRows; ++lane) rows[lane] = codes + lane * weight_.columns;
      pack_codes(rows, layout_.steps, layout_.packed_bits, target + layout_.code_offset);
    } else {
      pack_gathered(codes, lanes, target + layout_.code_offset);
    }
  }

 private:
  void store_parameters(std::uint8_t* target, std::int64_t row, int lane) const {
    const bool two_levels = layout_.row_scale_offset != 0;
    const float of_row = two_levels ? *row_scale(scales_of_row(row)) : 0.0F;
    if (two_levels) {
      std::memcpy(target + layout_.row_scale_offset + sizeof(float) * lane, &of_row, sizeof of_row);
    }
    for (std::int64_t g = 0; g < weight_.groups; ++g) {
      const auto from = static_cast<std::size_t>(row * weight_.groups + g);
      const std::int64_t index = g * kBlockRows + lane;
      if (two_levels) {
        target[index] = of_row == 0.0F ? std::uint8_t{0} : static_cast<std::uint8_t>(weight_.scales[from] / of_row);
      } else {
        store_scale(target, index, weight_.scales[from], weight_.scale_storage);
      }
      std::uint8_t* zeros = target + layout_.zero_offset;
      if (layout_.zero_kind == ZeroKind::kByte) zeros[index] = static_cast<std::uint8_t>(weight_.zeros[from]);
      if (layout_.zero_kind == ZeroKind::kFloat32) std::memcpy(zeros + 4 * index, &weight_.zeros[from], sizeof(float));
    }
  }

  [[nodiscard]] std::span<const float> scales_of_row(std::int64_t row) const {
    return weight_.scales.subspan(static_cast<std::size_t>(row * weight_.groups),
                                  static_cast<std::size_t>(weight_.groups));
  }

  // Where columns are moved or rows are missing: a run of steps at a time, by way of copies with zeros in the gaps.
  void pack_gathered(const std::uint8_t* codes, int lanes, std::uint8_t* target) const {
    std::uint8_t copies[kBlockRows][kRunColumns] = {};
    const std::uint8_t* rows[kBlockRows];
    for (int lane = 0; lane < kBlockRows; ++lane) rows[lane] = copies[lane];
    for (std::int64_t step = 0; step < layout_.steps; step += kRunSteps) {
      const std::int64_t steps = std::min<std::int64_t>(kRunSteps, layout_.steps - step);
      for (int lane = 0; lane < lanes; ++lane) {
        for (std::int64_t i = 0; i < steps * kStepColumns; ++i) {
          const std::int64_t source = layout_.source(step * kStepColumns + i);
          copies[lane][i] = source < 0 ? std::uint8_t{0} : codes[lane * weight_.columns + source];
        }
      }
      pack_codes(rows, steps, layout_.packed_bits, target + step * layout_.step_bytes);
    }
  }

  const CanonicalWeight& weight_;
  PackedLayout& layout_;
};

// The inverse of `sources`.
std::vector<std::int32_t> places_of(const PackedLayout& layout) {
  std::vector<std::int32_t> places(static_cast<std::size_t>(layout.shape.columns));
  for (std::int64_t place = 0; place < layout.padded_columns(); ++place) {
    const std::int64_t column = layout.source(place);
    if (column >= 0) places[static_cast<std::size_t>(column)] = static_cast<std::int32_t>(place);
  }
  return places;
}

void set_code(PackedLayout& layout, std::int64_t block, std::int64_t place, int lane, unsigned code) {
  std::uint8_t* step =
      layout.data.get() + block * layout.block_bytes + layout.code_offset + place / kStepColumns * layout.step_bytes;
  const int column = static_cast<int>(place % kStepColumns);
  for (const Plane& plane : planes_of(layout.packed_bits)) {
    const int quads = 8 / plane.bits;
    const int quad = column / 4;
    std::uint8_t& byte = step[plane.offset + quad / quads * 64 + lane * 4 + column % 4];
    const int shift = quad % quads * plane.bits;
    const unsigned mask = (1U << plane.bits) - 1U;
    byte = static_cast<std::uint8_t>((byte & ~(mask << shift)) | (((code >> plane.shift) & mask) << shift));
  }
}

// Below an outlier the packed code is its group's zero point, where there is a whole one, so that the codes' part of a
// product does not see the place.
void pack_outliers(PackedLayout& layout, const Outliers& outliers, std::span<const std::uint8_t> codes) {
  layout.outlier_begin.assign(static_cast<std::size_t>(layout.blocks) + 1, 0);
  if (outliers.rows.empty()) return;
  const std::vector<std::int32_t> places = places_of(layout);
  struct Entry {
    std::int64_t block;
    std::int32_t place;
    std::int32_t lane;
    float value;
    std::uint8_t code;
  };
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < outliers.rows.size(); ++i) {
    const std::int64_t row = outliers.rows[i];
    const std::int64_t column = outliers.columns[i];
    entries.push_back({row / kBlockRows, places[static_cast<std::size_t>(column)],
                       static_cast<std::int32_t>(row % kBlockRows), outliers.values[i],
                       codes[static_cast<std::size_t>(row * layout.shape.columns + column)]});
  }
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return std::tie(a.block, a.place, a.lane) < std::tie(b.block, b.place, b.lane);
  });
  std::vector<std::int32_t> groups(static_cast<std::size_t>(layout.steps));
  for (const Run& run : layout.runs) std::fill_n(groups.begin() + run.first_step, run.steps, run.group);
  const Blocks blocks = layout.view();
  for (const Entry& entry : entries) {
    ++layout.outlier_begin[static_cast<std::size_t>(entry.block) + 1];
    layout.outlier_places.push_back(entry.place);
    layout.outlier_lanes.push_back(entry.lane);
    layout.outlier_values.push_back(entry.value);
    layout.outlier_codes.push_back(entry.code);
    if (layout.shape.decoding != Decoding::kWholeZero) continue;
    const std::int32_t group = groups[static_cast<std::size_t>(entry.place / kStepColumns)];
    const float zero = load_zero(blocks, entry.block, group, entry.lane);
    set_code(layout, entry.block, entry.place, entry.lane, static_cast<unsigned>(zero));
  }
  for (std::size_t b = 0; b < static_cast<std::size_t>(layout.blocks); ++b) {
    layout.outlier_begin[b + 1] += layout.outlier_begin[b];
  }
}

}  // namespace

PackedWeight PackedWeight::pack(const CanonicalWeight& weight, const Executor& executor) {
  check_weight(weight, executor);
  auto layout = std::make_shared<PackedLayout>(plan_layout(weight));
  layout->data = take_packed(static_cast<std::size_t>(layout->blocks * layout->block_bytes));
  const Packer packer(weight, *layout);
  // Codes are checked as they pass: they are most of what is read.
  std::atomic<bool> sound{true};
  run_parts(executor, layout->blocks, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      if (!codes_hold(weight, block * kBlockRows, std::min((block + 1) * kBlockRows, weight.rows))) sound = false;
      packer.pack_block(block);
    }
  });
  if (!sound) check_codes(weight);
  pack_outliers(*layout, weight.outliers, weight.codes);
  return PackedWeight(std::move(layout));
}

std::int64_t PackedWeight::rows() const { return layout_->shape.rows; }
std::int64_t PackedWeight::columns() const { return layout_->shape.columns; }
std::int64_t PackedWeight::bytes() const { return layout_->bytes(); }

}  // namespace lowbit::kernels
