#include "kernels/layout.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"

namespace lowbit::kernels {

namespace {

std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

int scale_bytes(ScaleStorage storage) {
  if (storage == ScaleStorage::kUint8) return 1;
  return storage == ScaleStorage::kFloat32 ? 4 : 2;
}

int zero_bytes(ZeroKind kind) {
  switch (kind) {
    case ZeroKind::kByte: return 1;
    case ZeroKind::kFloat32: return 4;
    case ZeroKind::kUniform:
    case ZeroKind::kTable: break;
  }
  return 0;
}

ScaleKind scale_kind(ScaleStorage storage) {
  switch (storage) {
    case ScaleStorage::kFloat16: return ScaleKind::kFloat16;
    case ScaleStorage::kBFloat16: return ScaleKind::kBFloat16;
    case ScaleStorage::kFloat32:
    case ScaleStorage::kUint8: break;
  }
  return ScaleKind::kFloat32;
}

// Whole zeros that are all the same, as those of symmetric grids, are not stored.
ZeroKind choose_zero_kind(const CanonicalWeight& weight) {
  if (weight.decoding == Decoding::kTable) return ZeroKind::kTable;
  if (weight.decoding == Decoding::kRealZero) return ZeroKind::kFloat32;
  const auto differs = [&](float zero) { return zero != weight.zeros.front(); };
  return std::ranges::any_of(weight.zeros, differs) ? ZeroKind::kByte : ZeroKind::kUniform;
}

// Columns in the order of their groups, without padding.
std::vector<std::int32_t> columns_by_group(const CanonicalWeight& weight) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(weight.columns));
  std::iota(order.begin(), order.end(), 0);
  const auto group_of = [&](std::int32_t column) { return weight.group_index[static_cast<std::size_t>(column)]; };
  if (!weight.group_index.empty()) std::ranges::stable_sort(order, {}, group_of);
  return order;
}

std::vector<std::int64_t> group_sizes(const CanonicalWeight& weight) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(weight.groups));
  if (weight.group_index.empty()) {
    for (std::int64_t g = 0; g < weight.groups; ++g) {
      sizes[static_cast<std::size_t>(g)] = std::min(weight.group, weight.columns - g * weight.group);
    }
  }
  for (const std::int32_t g : weight.group_index) ++sizes[static_cast<std::size_t>(g)];
  return sizes;
}

// Appends the runs of one group; returns its steps.
std::int32_t append_runs(std::vector<Run>& runs, std::int32_t group, std::int64_t columns, std::int32_t first_step) {
  std::int32_t steps = 0;
  for (std::int64_t begin = 0; begin < columns; begin += kRunColumns) {
    const auto count = static_cast<std::int32_t>(std::min<std::int64_t>(kRunColumns, columns - begin));
    const std::int32_t run_steps = (count + kStepColumns - 1) / kStepColumns;
    runs.push_back({group, first_step + steps, run_steps, count, begin == 0, begin + kRunColumns >= columns});
    steps += run_steps;
  }
  return steps;
}

void plan_columns(PackedLayout& layout, const CanonicalWeight& weight) {
  const std::vector<std::int32_t> order = columns_by_group(weight);
  const std::vector<std::int64_t> sizes = group_sizes(weight);
  std::int32_t steps = 0;
  std::size_t next = 0;
  for (std::int32_t g = 0; g < static_cast<std::int32_t>(weight.groups); ++g) {
    const std::int64_t size = sizes[static_cast<std::size_t>(g)];
    steps += append_runs(layout.runs, g, size, steps);
    for (std::int64_t i = 0; i < size; ++i) layout.sources.push_back(order[next++]);
    layout.sources.resize(static_cast<std::size_t>(steps) * kStepColumns, -1);
    layout.longest_group = std::max(layout.longest_group, size);
  }
  layout.steps = steps;
  bool same = static_cast<std::int64_t>(layout.sources.size()) == weight.columns;
  for (std::size_t i = 0; same && i < layout.sources.size(); ++i) {
    same = layout.sources[i] == static_cast<std::int32_t>(i);
  }
  if (same) layout.sources.clear();
}

template <typename T>
T load(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

}  // namespace

std::int64_t PackedLayout::source(std::int64_t place) const {
  return sources.empty() ? place : sources[static_cast<std::size_t>(place)];
}

Blocks PackedLayout::view() const {
  return {data.get(),
          block_bytes,
          zero_offset,
          code_offset,
          row_scale_offset,
          static_cast<std::int32_t>(step_bytes),
          packed_bits,
          scale_kind(shape.scale_storage),
          zero_kind,
          uniform_zero,
          table.data(),
          runs.data(),
          static_cast<std::int64_t>(runs.size()),
          outlier_begin.data(),
          outlier_places.data(),
          outlier_lanes.data(),
          outlier_values.data()};
}

std::int64_t PackedLayout::bytes() const {
  const auto size_of = [](const auto& values) { return static_cast<std::int64_t>(values.size() * sizeof(values[0])); };
  return blocks * block_bytes + size_of(runs) + size_of(sources) + size_of(table) + size_of(group_index) +
         size_of(outlier_begin) + size_of(outlier_places) + size_of(outlier_lanes) + size_of(outlier_values) +
         size_of(outlier_codes);
}

PackedLayout plan_layout(const CanonicalWeight& weight) {
  PackedLayout layout;
  layout.shape = weight;
  layout.shape.codes = {};
  layout.shape.scales = layout.shape.zeros = layout.shape.table = {};
  layout.shape.group_index = {};
  layout.shape.outliers = {};
  layout.packed_bits = weight.bits <= 4 ? weight.bits : 8;
  layout.zero_kind = choose_zero_kind(weight);
  if (layout.zero_kind == ZeroKind::kUniform) layout.uniform_zero = static_cast<std::int32_t>(weight.zeros.front());
  layout.group_index.assign(weight.group_index.begin(), weight.group_index.end());
  plan_columns(layout, weight);
  layout.blocks = (weight.rows + kBlockRows - 1) / kBlockRows;
  const std::int64_t lanes = weight.groups * kBlockRows;
  layout.zero_offset = aligned(lanes * scale_bytes(weight.scale_storage));
  if (weight.scale_storage == ScaleStorage::kUint8) {
    layout.row_scale_offset = layout.zero_offset;
    layout.zero_offset += kBlockRows * static_cast<std::int64_t>(sizeof(float));
  }
  layout.code_offset = layout.zero_offset + aligned(lanes * zero_bytes(layout.zero_kind));
  layout.step_bytes = kBlockRows * kStepColumns * layout.packed_bits / 8;
  layout.block_bytes = layout.code_offset + layout.steps * layout.step_bytes;
  if (weight.decoding == Decoding::kTable) {
    layout.table.assign(weight.table.begin(), weight.table.end());
    layout.table_size = weight.table.size();
    layout.table.resize(std::size_t{1} << layout.packed_bits, 0.0F);
  }
  return layout;
}

std::span<const Plane> planes_of(int packed_bits) {
  static constexpr Plane kWhole[] = {{2, 0, 0}, {4, 0, 0}, {8, 0, 0}};
  static constexpr Plane kThree[] = {{2, 0, 0}, {1, 2, kBlockRows * kStepColumns * 2 / 8}};
  if (packed_bits == 3) return kThree;
  return std::span(kWhole).subspan(packed_bits == 2 ? 0 : packed_bits == 4 ? 1 : 2, 1);
}

float load_row_scale(const Blocks& blocks, std::int64_t block, int lane) {
  return load<float>(blocks.data + block * blocks.block_bytes + blocks.row_scale_offset + sizeof(float) * lane);
}

int load_whole_scale(const Blocks& blocks, std::int64_t block, std::int64_t group, int lane) {
  return blocks.data[block * blocks.block_bytes + group * kBlockRows + lane];
}

float load_scale(const Blocks& blocks, std::int64_t block, std::int64_t group, int lane) {
  const std::uint8_t* scales = blocks.data + block * blocks.block_bytes;
  const std::int64_t index = group * kBlockRows + lane;
  if (blocks.row_scale_offset != 0) return static_cast<float>(scales[index]) * load_row_scale(blocks, block, lane);
  switch (blocks.scale_kind) {
    case ScaleKind::kFloat16: return half_to_float(load<std::uint16_t>(scales + 2 * index));
    case ScaleKind::kBFloat16: return bfloat16_to_float(load<std::uint16_t>(scales + 2 * index));
    case ScaleKind::kFloat32: break;
  }
  return load<float>(scales + 4 * index);
}

float load_zero(const Blocks& blocks, std::int64_t block, std::int64_t group, int lane) {
  const std::uint8_t* zeros = blocks.data + block * blocks.block_bytes + blocks.zero_offset;
  const std::int64_t index = group * kBlockRows + lane;
  switch (blocks.zero_kind) {
    case ZeroKind::kByte: return static_cast<float>(zeros[index]);
    case ZeroKind::kFloat32: return load<float>(zeros + 4 * index);
    case ZeroKind::kUniform: return static_cast<float>(blocks.uniform_zero);
    case ZeroKind::kTable: break;
  }
  return 0.0F;
}

std::uint8_t load_code(const Blocks& blocks, std::int64_t block, std::int64_t place, int lane) {
  const std::uint8_t* step =
      blocks.data + block * blocks.block_bytes + blocks.code_offset + place / kStepColumns * blocks.step_bytes;
  const int column = static_cast<int>(place % kStepColumns);
  unsigned code = 0;
  for (const Plane& plane : planes_of(blocks.packed_bits)) {
    const int quads = 8 / plane.bits;  // in a chunk
    const int quad = column / 4;
    const unsigned byte = step[plane.offset + quad / quads * 64 + lane * 4 + column % 4];
    const unsigned mask = (1U << plane.bits) - 1U;
    code |= ((byte >> (quad % quads * plane.bits)) & mask) << plane.shift;
  }
  return static_cast<std::uint8_t>(code);
}

}  // namespace lowbit::kernels
