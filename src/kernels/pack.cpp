#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "kernels/executor.h"
#include "kernels/layout.h"
#include "lowbit/base/half.h"

namespace lowbit::kernels {

namespace {

// Codes of one block, [place][16], zero where the matrix ends.
using BlockCodes = std::vector<std::uint8_t>;

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
    std::memset(target, 0, static_cast<std::size_t>(layout_.block_bytes));
    const int lanes = static_cast<int>(std::min<std::int64_t>(kBlockRows, weight_.rows - block * kBlockRows));
    for (int lane = 0; lane < lanes; ++lane) {
      const std::int64_t row = block * kBlockRows + lane;
      store_parameters(target, row, lane);
      std::uint8_t* codes = target + layout_.code_offset;
      switch (layout_.packed_bits) {
        case 2: store_codes<2>(codes, row, lane); break;
        case 3: store_codes<3>(codes, row, lane); break;
        case 4: store_codes<4>(codes, row, lane); break;
        default: store_codes<8>(codes, row, lane); break;
      }
    }
  }

 private:
  void store_parameters(std::uint8_t* target, std::int64_t row, int lane) const {
    for (std::int64_t g = 0; g < weight_.groups; ++g) {
      const auto from = static_cast<std::size_t>(row * weight_.groups + g);
      const std::int64_t index = g * kBlockRows + lane;
      store_scale(target, index, weight_.scales[from], weight_.scale_storage);
      std::uint8_t* zeros = target + layout_.zero_offset;
      if (layout_.zero_kind == ZeroKind::kByte) zeros[index] = static_cast<std::uint8_t>(weight_.zeros[from]);
      if (layout_.zero_kind == ZeroKind::kFloat32) std::memcpy(zeros + 4 * index, &weight_.zeros[from], sizeof(float));
    }
  }

  template <int kBits>
  void store_codes(std::uint8_t* target, std::int64_t row, int lane) const {
    const std::uint8_t* codes = weight_.codes.data() + row * weight_.columns;
    std::uint8_t padded[kStepColumns];
    for (std::int64_t step = 0; step < layout_.steps; ++step) {
      const std::uint8_t* from = codes + step * kStepColumns;
      if (!layout_.sources.empty()) {
        gather(codes, step, padded);
        from = padded;
      }
      std::uint8_t* to = target + step * layout_.step_bytes;
      if constexpr (kBits == 3) {
        store_plane<2, 0>(from, to, lane);
        store_plane<1, 2>(from, to + planes_of(3)[1].offset, lane);
      } else {
        store_plane<kBits, 0>(from, to, lane);
      }
    }
  }

  void gather(const std::uint8_t* codes, std::int64_t step, std::uint8_t* padded) const {
    const std::int32_t* sources = layout_.sources.data() + step * kStepColumns;
    for (int i = 0; i < kStepColumns; ++i) padded[i] = sources[i] < 0 ? std::uint8_t{0} : codes[sources[i]];
  }

  // Bits kShift .. kShift + kBits - 1 of a row's codes. Four columns at once: a quad is a 32-bit word, shifted as a
  // whole.
  template <int kBits, int kShift>
  static void store_plane(const std::uint8_t* codes, std::uint8_t* plane, int lane) {
    constexpr std::uint32_t kMask = ((1U << kBits) - 1U) * 0x01010101U;
    constexpr int kQuads = 8 / kBits;
    for (int chunk = 0; chunk * kQuads < kStepQuads; ++chunk) {
      std::uint32_t word = 0;
      for (int q = 0; q < kQuads; ++q) {
        std::uint32_t quad = 0;
        std::memcpy(&quad, codes + 4 * (chunk * kQuads + q), sizeof quad);
        word |= ((quad >> kShift) & kMask) << (q * kBits);
      }
      std::memcpy(plane + 64 * chunk + 4 * lane, &word, sizeof word);
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
  const auto bytes = static_cast<std::size_t>(layout->blocks * layout->block_bytes);
  layout->data.reset(static_cast<std::uint8_t*>(::operator new (bytes, std::align_val_t{kAlignment})));
  const Packer packer(weight, *layout);
  run_parts(executor, layout->blocks, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) packer.pack_block(block);
  });
  pack_outliers(*layout, weight.outliers, weight.codes);
  return PackedWeight(std::move(layout));
}

std::int64_t PackedWeight::rows() const { return layout_->shape.rows; }
std::int64_t PackedWeight::columns() const { return layout_->shape.columns; }
std::int64_t PackedWeight::bytes() const { return layout_->bytes(); }

}  // namespace lowbit::kernels
