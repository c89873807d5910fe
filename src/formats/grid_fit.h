#pragma once

#include <cstdint>
#include <span>

#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/grid.h"
#include "lowbit/formats/quantized_weight.h"

namespace lowbit {

/// Scale and zero of one group.
struct GroupFit {
  float scale = 1.0F;
  float zero = 0.0F;
};

/// The arithmetic of one grid on the plain numbers of one group. All of it is float32, operation by operation, so that
/// the same numbers give the same bits on any machine and with any number of threads.
class GroupGrid {
 public:
  /// Throws `kConfig` when the grid is not one that can be fitted (2..8 bits, known codebook).
  explicit GroupGrid(const GridSpec& grid);

  [[nodiscard]] GroupFit fit_min_max(std::span<const float> values) const;
  [[nodiscard]] GroupFit fit_clipped(std::span<const float> values, const ClipSearch& search) const;
  void encode(std::span<const float> values, const GroupFit& fit, std::uint8_t* codes) const;
  [[nodiscard]] float decode(std::uint8_t code, const GroupFit& fit) const;

 private:
  struct Range {
    float low = 0.0F;
    float high = 0.0F;
  };
  [[nodiscard]] Range range_of(std::span<const float> values) const;
  [[nodiscard]] GroupFit fit_of(const Range& range) const;
  [[nodiscard]] double exact_error(std::span<const float> values, const GroupFit& fit, double norm) const;

  GridSpec grid_;
  const Codebook* codebook_ = nullptr;
  float top_ = 15.0F;  // 2^bits - 1
  float half_ = 8.0F;  // 2^(bits - 1)
};

/// `value` rounded to the storage type and back: see `round_scales`.
[[nodiscard]] float round_scale(float value, ScaleType type);

}  // namespace lowbit
