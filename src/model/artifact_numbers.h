#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/containers/tensor_entry.h"
#include "lowbit/formats/grid.h"
#include "lowbit/formats/packing.h"
#include "model/stored_bytes.h"

namespace lowbit {

/// The storage type of scales of a grid.
[[nodiscard]] StorageType storage_of(ScaleType type);
/// The inverse; throws `kData` for a type that scales cannot have.
[[nodiscard]] ScaleType scale_type_of(StorageType type);

/// Float32 values as bytes of F32, F16, BF16, F8_E8M0 or F8_E4M3, which must hold them exactly (`kInternal`).
[[nodiscard]] StoredBytes encode_floats(std::span<const float> values, StorageType type);
/// Whether a type is that of usual float tensors, which are read without a look at each number.
[[nodiscard]] bool is_common(StorageType type);
/// A stored tensor of F32, F16, BF16, F64, F8_E8M0 or F8_E4M3 as float32. Throws `kUnsupported` for other types.
[[nodiscard]] at::Tensor decode_floats(const TensorEntry& entry);
/// A stored tensor as 64-bit integers. Throws `kData` for types that are no integers or exceed them.
[[nodiscard]] std::vector<std::int64_t> decode_integers(const TensorEntry& entry);
/// The 32-bit words of an I32 or U32 tensor.
[[nodiscard]] Words decode_words(const TensorEntry& entry);
/// The codes of `bits` bits in the rows of an I32 or U32 tensor (`unpack_rows`), uint8 [rows, columns].
[[nodiscard]] at::Tensor decode_codes(const TensorEntry& entry, std::int64_t rows, std::int64_t columns, int bits);

template <typename Number>
[[nodiscard]] StoredBytes bytes_of_numbers(std::span<const Number> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

}  // namespace lowbit
