#pragma once

#include "../guarded.h"
#include "kernels/cuda/pack.h"

namespace lowbit::kernels::cuda::testing {

/// A packed matrix whose codes, scales and zeros each end where nobody may read.
class OnDevice {
 public:
  explicit OnDevice(const Packed& packed)
      : codes_(section(packed, 0, packed.code_bytes())),
        scales_(section(packed, packed.scale_offset, packed.scale_bytes())),
        zeros_(section(packed, packed.zero_offset, packed.has_zeros ? packed.zero_bytes() : 0)),
        table_(section(packed, packed.table_offset, packed.has_table ? 4 << packed.shape.bits : 0)),
        matrix_(packed.shape) {
    matrix_.codes = reinterpret_cast<const std::uint8_t*>(codes_.data());
    matrix_.scales = scales_.data();
    matrix_.table = packed.has_table ? reinterpret_cast<const float*>(table_.data()) : nullptr;
    matrix_.zeros = packed.has_zeros ? reinterpret_cast<const std::uint8_t*>(zeros_.data()) : nullptr;
  }
  OnDevice(const OnDevice&) = delete;
  [[nodiscard]] const Matrix& matrix() const { return matrix_; }

 private:
  using Bytes = kernels::testing::Guarded<std::byte>;
  struct Section {
    const std::byte* data;
    std::int64_t bytes;
  };
  struct GuardedSection : Bytes {
    explicit GuardedSection(const Section& from) : Bytes(static_cast<std::size_t>(from.bytes), Bytes::Side::kEnd) {
      assign(from.data);
    }
  };
  static Section section(const Packed& packed, std::int64_t offset, std::int64_t bytes) {
    return {packed.bytes.data() + offset, bytes};
  }

  GuardedSection codes_;
  GuardedSection scales_;
  GuardedSection zeros_;
  GuardedSection table_;
  Matrix matrix_;
};

}  // namespace lowbit::kernels::cuda::testing
