#include "kernels/cuda/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cuda/float8.h"
#include "kernels/executor.h"
#include "kernels/layout.h"
#include "lowbit/base/error.h"
#include "lowbit/base/half.h"

namespace lowbit::kernels::cuda {

namespace {

constexpr std::int64_t kSectionAlignment = 256;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

// Of 256 numbers each is one operand of the matrix unit, which must hold it.
void check_table(const PackedLayout& layout) {
  if (layout.packed_bits != 4 && layout.packed_bits != 8) {
    fail(
        ErrorCode::kUnsupported,
        "packing for CUDA: the weight has a table of numbers for {} bits, and the GPU's kernels have them for 4 and 8; "
        "use 'cpu' or another grid",
        layout.packed_bits);
  }
  if (layout.packed_bits == 4) return;
  for (const float value : layout.table) {
    if (std::isnan(value)) continue;
    if (half_to_float(float_to_half(value)) == value && bfloat16_to_float(float_to_bfloat16(value)) == value) continue;
    fail(ErrorCode::kUnsupported,
         "packing for CUDA: the weight's table of 256 numbers has {}, which 16 bits do not hold; use 'cpu' or another "
         "grid",
         value);
  }
}

void check_kind(const PackedLayout& layout) {
  if (layout.shape.decoding == Decoding::kRealZero) {
    fail(ErrorCode::kUnsupported,
         "packing for CUDA: the weight has real zero points, and the GPU's kernels take whole zero points; use 'cpu' "
         "or another grid");
  }
  if (layout.shape.decoding == Decoding::kTable) check_table(layout);
  if (!layout.outlier_values.empty()) {
    fail(ErrorCode::kUnsupported,
         "packing for CUDA: the weight keeps {} outliers in float32, and the GPU's kernels take none; use 'cpu'",
         layout.outlier_values.size());
  }
}

// Steps of every group but the last, which may have fewer.
std::int32_t steps_of_groups(const PackedLayout& layout) {
  std::vector<std::int32_t> steps(static_cast<std::size_t>(layout.shape.groups), 0);
  for (const Run& run : layout.runs) steps[static_cast<std::size_t>(run.group)] += run.steps;
  for (std::size_t g = 0; g < steps.size(); ++g) {
    const bool last = g + 1 == steps.size();
    if (last ? steps[g] <= steps[0] : steps[g] == steps[0]) continue;
    fail(ErrorCode::kUnsupported,
         "packing for CUDA: group {} takes {} steps of {} columns and group 0 takes {}; the GPU's kernels need groups "
         "of "
         "one size, use 'cpu'",
         g, steps[g], kStepColumns, steps[0]);
  }
  return std::max(steps[0], 1);
}

// Whether a column stands elsewhere than at its own place; padding behind the last one moves none.
bool moves_columns(const PackedLayout& layout) {
  for (std::size_t i = 0; i < layout.sources.size(); ++i) {
    const std::int32_t source = layout.sources[i];
    if (source != (static_cast<std::int64_t>(i) < layout.shape.columns ? static_cast<std::int32_t>(i) : -1))
      return true;
  }
  return false;
}

template <typename T>
void store(std::byte* base, std::int64_t index, T value) {
  std::memcpy(base + index * static_cast<std::int64_t>(sizeof(T)), &value, sizeof(T));
}
template <typename T>
T load(const std::byte* base, std::int64_t index) {
  T value;
  std::memcpy(&value, base + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

void store_scale(std::byte* scales, std::int64_t index, float scale, ScaleKind kind) {
  switch (kind) {
    case ScaleKind::kFloat32: store(scales, index, scale); break;
    case ScaleKind::kFloat16: store(scales, index, float_to_half(scale)); break;
    case ScaleKind::kBFloat16: store(scales, index, float_to_bfloat16(scale)); break;
  }
}
float load_scale(const std::byte* scales, std::int64_t index, ScaleKind kind) {
  switch (kind) {
    case ScaleKind::kFloat16: return half_to_float(load<std::uint16_t>(scales, index));
    case ScaleKind::kBFloat16: return bfloat16_to_float(load<std::uint16_t>(scales, index));
    case ScaleKind::kFloat32: break;
  }
  return load<float>(scales, index);
}

struct BitsAt {
  std::int64_t byte;
  int shift;
};
// Of a code's part in the plane of `plane_bits` that starts at `plane_offset`.
BitsAt bits_at(const Matrix& shape, int plane_bits, std::int64_t plane_offset, std::int64_t row, std::int64_t place) {
  const Field field = field_of(plane_bits, static_cast<int>(place / kStepColumns), static_cast<int>(row % kTileRows),
                               static_cast<int>(place % kStepColumns));
  const std::int64_t word = row / kTileRows * tile_bytes(shape.bits, shape.steps) + plane_offset +
                            word_offset(plane_bits, shape.steps, field.lane, field.word);
  return {word + field.shift / 8, field.shift % 8};
}

void store_code(Packed& packed, std::int64_t row, std::int64_t place, unsigned code) {
  const Matrix& shape = packed.shape;
  const int first = first_plane_bits(shape.bits);
  const BitsAt at = bits_at(shape, first, 0, row, place);
  const unsigned mask = (1U << first) - 1U;
  packed.bytes[static_cast<std::size_t>(at.byte)] |= static_cast<std::byte>((code & mask) << at.shift);
  if (shape.bits != 3) return;
  const BitsAt high = bits_at(shape, 1, plane_bytes(first, shape.steps), row, place);
  packed.bytes[static_cast<std::size_t>(high.byte)] |= static_cast<std::byte>((code >> 2) << high.shift);
}

unsigned load_code(const Packed& packed, std::int64_t row, std::int64_t place) {
  const Matrix& shape = packed.shape;
  const int first = first_plane_bits(shape.bits);
  const auto part = [&](const BitsAt& at, int bits) {
    return (static_cast<unsigned>(packed.bytes[static_cast<std::size_t>(at.byte)]) >> at.shift) & ((1U << bits) - 1U);
  };
  const unsigned code = part(bits_at(shape, first, 0, row, place), first);
  if (shape.bits != 3) return code;
  return code | (part(bits_at(shape, 1, plane_bytes(first, shape.steps), row, place), 1) << 2);
}

void store_parameters(Packed& packed, const Blocks& blocks, std::int64_t row) {
  const std::int64_t tile = row / kTileRows;
  const int lane = static_cast<int>(row % kTileRows);
  for (std::int64_t g = 0; g < packed.shape.groups; ++g) {
    const std::int64_t at = (tile * packed.shape.groups + g) * kTileRows + scale_place(lane);
    store_scale(packed.bytes.data() + packed.scale_offset, at, kernels::load_scale(blocks, tile, g, lane),
                packed.shape.scale_kind);
    if (packed.has_zeros) {
      store(packed.bytes.data() + packed.zero_offset, at,
            static_cast<std::uint8_t>(kernels::load_zero(blocks, tile, g, lane)));
    }
  }
}

void store_row(Packed& packed, const PackedLayout& layout, const Blocks& blocks, std::int64_t row) {
  store_parameters(packed, blocks, row);
  for (std::int64_t place = 0; place < layout.padded_columns(); ++place) {
    store_code(packed, row, place,
               kernels::load_code(blocks, row / kBlockRows, place, static_cast<int>(row % kBlockRows)));
  }
}

bool is_e4m3(std::span<const float> table) {
  if (table.size() != 256) return false;
  for (std::uint32_t code = 0; code < 256; ++code) {
    const float expected = e4m3_as_float(code);
    const float found = table[code];
    if (std::isnan(expected) ? !std::isnan(found) : bits_of_float(found) != bits_of_float(expected)) return false;
  }
  return true;
}

Packed plan(const PackedLayout& layout) {
  Packed packed;
  const Blocks blocks = layout.view();
  packed.has_zeros = blocks.zero_kind == ZeroKind::kByte;
  packed.has_sources = moves_columns(layout);
  packed.has_table = layout.shape.decoding == Decoding::kTable;
  packed.is_e4m3 = packed.has_table && is_e4m3(layout.table);
  packed.shape = {nullptr,
                  nullptr,
                  nullptr,
                  static_cast<std::int32_t>(layout.shape.rows),
                  static_cast<std::int32_t>(layout.shape.columns),
                  layout.packed_bits,
                  static_cast<std::int32_t>(layout.steps),
                  static_cast<std::int32_t>(layout.shape.groups),
                  steps_of_groups(layout),
                  layout.uniform_zero,
                  blocks.scale_kind,
                  nullptr};
  packed.scale_offset = aligned(packed.code_bytes());
  packed.zero_offset = packed.scale_offset + aligned(packed.scale_bytes());
  packed.source_offset = packed.zero_offset + (packed.has_zeros ? aligned(packed.zero_bytes()) : 0);
  packed.table_offset = packed.source_offset + (packed.has_sources ? aligned(4 * layout.padded_columns()) : 0);
  packed.bytes.resize(static_cast<std::size_t>(packed.table_offset + (packed.has_table ? 4 << layout.packed_bits : 0)));
  return packed;
}

}  // namespace

std::int64_t Packed::code_bytes() const { return tiles_of(shape) * tile_bytes(shape.bits, shape.steps); }
std::int64_t Packed::zero_bytes() const { return std::int64_t{tiles_of(shape)} * shape.groups * kTileRows; }
std::int64_t Packed::scale_bytes() const { return zero_bytes() * (shape.scale_kind == ScaleKind::kFloat32 ? 4 : 2); }

Matrix Packed::described() const {
  static constexpr float kSomeTable = 0;
  Matrix matrix = shape;
  matrix.table = has_table ? &kSomeTable : nullptr;
  return matrix;
}

Matrix Packed::at(const std::byte* base) const {
  Matrix matrix = shape;
  matrix.codes = reinterpret_cast<const std::uint8_t*>(base);
  matrix.scales = base + scale_offset;
  matrix.table = has_table ? reinterpret_cast<const float*>(base + table_offset) : nullptr;
  matrix.zeros = has_zeros ? reinterpret_cast<const std::uint8_t*>(base + zero_offset) : nullptr;
  return matrix;
}

const std::int32_t* Packed::sources_at(const std::byte* base) const {
  return has_sources ? reinterpret_cast<const std::int32_t*>(base + source_offset) : nullptr;
}

Matrix rows_of(const Matrix& matrix, std::int32_t first, std::int32_t count) {
  const std::int64_t tile = first / kTileRows;
  const std::int64_t parameters = tile * matrix.groups * kTileRows;
  Matrix part = matrix;
  part.codes = matrix.codes + tile * tile_bytes(matrix.bits, matrix.steps);
  part.scales =
      static_cast<const std::byte*>(matrix.scales) + parameters * (matrix.scale_kind == ScaleKind::kFloat32 ? 4 : 2);
  if (matrix.zeros != nullptr) part.zeros = matrix.zeros + parameters;
  part.rows = count;
  return part;
}

Packed pack(const PackedWeight& weight, const Executor& executor) {
  const PackedLayout& layout = weight.layout();
  check_kind(layout);
  Packed packed = plan(layout);
  const Blocks blocks = layout.view();
  // Rows of a tile share bytes, so that parts are made of whole tiles.
  run_parts(executor, tiles_of(packed.shape), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin * kTileRows; row < std::min(end * kTileRows, layout.shape.rows); ++row) {
      store_row(packed, layout, blocks, row);
    }
  });
  for (std::size_t i = 0; packed.has_sources && i < layout.sources.size(); ++i) {
    store(packed.bytes.data() + packed.source_offset, static_cast<std::int64_t>(i), layout.sources[i]);
  }
  for (std::size_t i = 0; packed.has_table && i < layout.table.size(); ++i) {
    store(packed.bytes.data() + packed.table_offset, static_cast<std::int64_t>(i), layout.table[i]);
  }
  return packed;
}

UnpackedWeight unpack(const Packed& packed) {
  const Matrix& shape = packed.shape;
  UnpackedWeight weight;
  weight.shape.rows = shape.rows;
  weight.shape.columns = shape.columns;
  weight.shape.groups = shape.groups;
  weight.shape.bits = shape.bits;
  if (packed.has_table) weight.shape.decoding = Decoding::kTable;
  for (std::int64_t i = 0; packed.has_table && i < std::int64_t{1} << shape.bits; ++i) {
    weight.table.push_back(load<float>(packed.bytes.data() + packed.table_offset, i));
  }
  weight.codes.resize(static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(shape.columns));
  weight.group_index.resize(static_cast<std::size_t>(shape.columns));
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      const std::int64_t at =
          (row / kTileRows * shape.groups + g) * kTileRows + scale_place(static_cast<int>(row % kTileRows));
      weight.scales.push_back(load_scale(packed.bytes.data() + packed.scale_offset, at, shape.scale_kind));
      if (packed.has_table) continue;
      const int zero =
          packed.has_zeros ? load<std::uint8_t>(packed.bytes.data() + packed.zero_offset, at) : shape.uniform_zero;
      weight.zeros.push_back(static_cast<float>(zero));
    }
    for (std::int64_t place = 0; place < std::int64_t{shape.steps} * kStepColumns; ++place) {
      const std::int64_t column =
          packed.has_sources ? load<std::int32_t>(packed.bytes.data() + packed.source_offset, place) : place;
      if (column < 0 || column >= shape.columns) continue;
      weight.group_index[static_cast<std::size_t>(column)] =
          static_cast<std::int32_t>(place / kStepColumns / shape.group_steps);
      weight.codes[static_cast<std::size_t>(row * shape.columns + column)] =
          static_cast<std::uint8_t>(load_code(packed, row, place));
    }
  }
  return weight;
}

}  // namespace lowbit::kernels::cuda
