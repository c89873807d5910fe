#include "model/artifact_numbers.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/ggml_blocks.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// Stored numbers need not be aligned, so they are copied out one by one.
template <typename Stored>
Stored read_at(const TensorEntry& entry, std::size_t index) {
  Stored value;
  std::memcpy(&value, entry.data.data() + index * sizeof(Stored), sizeof(Stored));
  return value;
}

template <typename Stored>
void put(std::vector<std::byte>& out, std::size_t index, Stored value) {
  std::memcpy(out.data() + index * sizeof(Stored), &value, sizeof(Stored));
}

void require_exact(float value, float stored, StorageType type) {
  if (value != stored) fail(ErrorCode::kInternal, "{} cannot be stored exactly as {}", value, storage_type_name(type));
}

float decode_float(const TensorEntry& entry, std::size_t index) {
  switch (entry.type) {
    case StorageType::kF64: return static_cast<float>(read_at<double>(entry, index));
    case StorageType::kF8E4M3: return find_codebook("e4m3").table[read_at<std::uint8_t>(entry, index)];
    case StorageType::kF8E8M0: {
      const auto exponent = read_at<std::uint8_t>(entry, index);
      return exponent == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, exponent - 127);
    }
    default:
      fail(ErrorCode::kUnsupported, "tensor '{}' has type {}, expected F32, F16 or BF16", entry.name,
           storage_type_name(entry.type));
  }
}

std::int64_t decode_integer(const TensorEntry& entry, std::size_t index) {
  switch (entry.type) {
    case StorageType::kI8: return read_at<std::int8_t>(entry, index);
    case StorageType::kU8: return read_at<std::uint8_t>(entry, index);
    case StorageType::kI16: return read_at<std::int16_t>(entry, index);
    case StorageType::kU16: return read_at<std::uint16_t>(entry, index);
    case StorageType::kI32: return read_at<std::int32_t>(entry, index);
    case StorageType::kU32: return read_at<std::uint32_t>(entry, index);
    case StorageType::kI64: return read_at<std::int64_t>(entry, index);
    default:
      fail(ErrorCode::kData, "tensor '{}' has type {}, expected integers", entry.name, storage_type_name(entry.type));
  }
}

}  // namespace

StorageType storage_of(ScaleType type) {
  switch (type) {
    case ScaleType::kFloat16: return StorageType::kF16;
    case ScaleType::kBFloat16: return StorageType::kBF16;
    case ScaleType::kFloat32: return StorageType::kF32;
    case ScaleType::kE8M0: return StorageType::kF8E8M0;
    case ScaleType::kE4M3: return StorageType::kF8E4M3;
    case ScaleType::kUint8: return StorageType::kU8;
  }
  fail(ErrorCode::kInternal, "unknown scale type {}", static_cast<int>(type));
}

ScaleType scale_type_of(StorageType type) {
  switch (type) {
    case StorageType::kF16: return ScaleType::kFloat16;
    case StorageType::kBF16: return ScaleType::kBFloat16;
    case StorageType::kF32: return ScaleType::kFloat32;
    case StorageType::kF8E8M0: return ScaleType::kE8M0;
    case StorageType::kF8E4M3: return ScaleType::kE4M3;
    case StorageType::kU8: return ScaleType::kUint8;
    default:
      fail(ErrorCode::kData, "scales have type {}, expected F16, BF16, F32, F8_E8M0, F8_E4M3 or U8",
           storage_type_name(type));
  }
}

std::vector<std::byte> encode_floats(std::span<const float> values, StorageType type) {
  std::vector<std::byte> out(values.size() * static_cast<std::size_t>(block_size(type).bytes));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    if (type == StorageType::kF32) {
      put(out, i, value);
    } else if (type == StorageType::kF16) {
      const c10::Half stored(value);
      require_exact(value, static_cast<float>(stored), type);
      put(out, i, stored);
    } else if (type == StorageType::kBF16) {
      const c10::BFloat16 stored(value);
      require_exact(value, static_cast<float>(stored), type);
      put(out, i, stored);
    } else if (type == StorageType::kF8E8M0) {
      const int exponent = std::ilogb(value);
      require_exact(value, std::ldexp(1.0F, exponent), type);
      put(out, i, static_cast<std::uint8_t>(exponent + 127));
    } else if (type == StorageType::kF8E4M3) {
      const Codebook& e4m3 = find_codebook("e4m3");
      const std::uint8_t code = nearest_code(e4m3, value);
      require_exact(value, e4m3.table[code], type);
      put(out, i, code);
    } else {
      fail(ErrorCode::kInternal, "floats are not written as {}", storage_type_name(type));
    }
  }
  return out;
}

bool is_common(StorageType type) {
  return type == StorageType::kF32 || type == StorageType::kF16 || type == StorageType::kBF16;
}

at::Tensor decode_floats(const TensorEntry& entry) {
  at::Tensor out = make_empty(entry.shape, DType::kFloat32);
  const auto values = mutable_values_of<float>(out);
  if (is_common(entry.type)) {
    dequantize_blocks(entry.type, entry.data, values);
    return out;
  }
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = decode_float(entry, i);
  return out;
}

std::vector<std::int64_t> decode_integers(const TensorEntry& entry) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(entry.elements()));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = decode_integer(entry, i);
  return out;
}

std::vector<std::uint32_t> decode_words(const TensorEntry& entry) {
  if (entry.type != StorageType::kI32 && entry.type != StorageType::kU32) {
    fail(ErrorCode::kData, "tensor '{}' has type {}, expected I32", entry.name, storage_type_name(entry.type));
  }
  std::vector<std::uint32_t> out(entry.data.size() / sizeof(std::uint32_t));
  std::memcpy(out.data(), entry.data.data(), entry.data.size());
  return out;
}

}  // namespace lowbit
