#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cuda/layout.h"
#include "lowbit/kernels/api.h"

namespace lowbit::kernels::cuda {

/// A packed matrix in main memory, ready to be copied to a GPU as one piece.
struct Packed {
  std::vector<std::byte> bytes;
  Matrix shape{};  ///< its pointers are null
  std::int64_t zero_offset = 0;
  std::int64_t scale_offset = 0;
  std::int64_t source_offset = 0;
  std::int64_t table_offset = 0;
  bool has_zeros = false;
  bool has_table = false;
  bool is_e4m3 = false;  ///< whether the table is that of E4M3, so that codes are such numbers' bits
  bool has_sources = false;

  [[nodiscard]] std::int64_t code_bytes() const;
  [[nodiscard]] std::int64_t scale_bytes() const;
  [[nodiscard]] std::int64_t zero_bytes() const;  ///< when it has zeros
  /// The shape as schedules see it: they ask whether there is a table, not where.
  [[nodiscard]] Matrix described() const;
  /// The matrix when `bytes` lie at `base`, which must begin on 256 bytes.
  [[nodiscard]] Matrix at(const std::byte* base) const;
  /// Null, or the column of each padded place, -1 for padding: [steps * 32].
  [[nodiscard]] const std::int32_t* sources_at(const std::byte* base) const;
};

/// Rows first .. first + count - 1 of a matrix; the first one begins a tile.
[[nodiscard]] Matrix rows_of(const Matrix& matrix, std::int32_t first, std::int32_t count);

/// Throws `kUnsupported` for what the GPU's kernels lack: real zeros, tables of 2 and 3 bits, outliers, and moved
/// groups whose sizes are not one number of steps.
[[nodiscard]] Packed pack(const PackedWeight& weight, const Executor& executor = {});

/// Every code, scale and zero of the packed form, in the order of the matrix, and the group of each column.
[[nodiscard]] UnpackedWeight unpack(const Packed& packed);

}  // namespace lowbit::kernels::cuda
