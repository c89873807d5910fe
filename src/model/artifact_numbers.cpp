#include "model/artifact_numbers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/every_isa.h"
#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
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
void put(StoredBytes& out, std::size_t index, Stored value) {
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

void require_words(const TensorEntry& entry) {
  if (entry.type == StorageType::kI32 || entry.type == StorageType::kU32) return;
  fail(ErrorCode::kData, "tensor '{}' has type {}, expected I32", entry.name, storage_type_name(entry.type));
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

namespace {

struct Float16 {
  static std::uint16_t encode(float value) { return float_to_half(value); }
  static float decode(std::uint16_t stored) { return half_to_float(stored); }
};
struct BFloat16 {
  static std::uint16_t encode(float value) { return float_to_bfloat16(value); }
  static float decode(std::uint16_t stored) { return bfloat16_to_float(stored); }
};

// Returns whether all are held exactly.
template <typename Format>
LOWBIT_EVERY_ISA bool encode_halves(const float* values, std::size_t count, std::byte* out) {
  std::uint32_t others = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t stored = Format::encode(values[i]);
    others |= Format::decode(stored) == values[i] ? 0U : 1U;
    std::memcpy(out + i * sizeof stored, &stored, sizeof stored);
  }
  return others == 0;
}

template <typename Format>
void encode_halves(std::span<const float> values, StorageType type, StoredBytes& out) {
  if (encode_halves<Format>(values.data(), values.size(), out.data())) return;
  for (const float value : values) require_exact(value, Format::decode(Format::encode(value)), type);
}

}  // namespace

StoredBytes encode_floats(std::span<const float> values, StorageType type) {
  StoredBytes out(values.size() * static_cast<std::size_t>(block_size(type).bytes));
  switch (type) {
    case StorageType::kF32: std::copy_n(std::as_bytes(values).begin(), out.size(), out.begin()); return out;
    case StorageType::kF16: encode_halves<Float16>(values, type, out); return out;
    case StorageType::kBF16: encode_halves<BFloat16>(values, type, out); return out;
    case StorageType::kF8E8M0:
    case StorageType::kF8E4M3: break;
    default: fail(ErrorCode::kInternal, "floats are not written as {}", storage_type_name(type));
  }
  const Codebook& e4m3 = find_codebook("e4m3");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    if (type == StorageType::kF8E8M0) {
      const int exponent = std::ilogb(value);
      require_exact(value, std::ldexp(1.0F, exponent), type);
      put(out, i, static_cast<std::uint8_t>(exponent + 127));
    } else {
      const std::uint8_t code = nearest_code(e4m3, value);
      require_exact(value, e4m3.table[code], type);
      put(out, i, code);
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

Words decode_words(const TensorEntry& entry) {
  require_words(entry);
  Words out(entry.data.size() / sizeof(std::uint32_t));
  std::memcpy(out.data(), entry.data.data(), entry.data.size());
  return out;
}

at::Tensor decode_codes(const TensorEntry& entry, std::int64_t rows, std::int64_t columns, int bits) {
  require_words(entry);
  const auto* words = reinterpret_cast<const std::uint32_t*>(entry.data.data());
  Words aligned;  // foreign files may put words anywhere
  if (reinterpret_cast<std::uintptr_t>(words) % alignof(std::uint32_t) != 0) {
    aligned = decode_words(entry);
    words = aligned.data();
  }
  at::Tensor codes = make_empty({rows, columns}, DType::kUInt8);
  unpack_rows({words, entry.data.size() / sizeof(std::uint32_t)}, rows, columns, bits,
              mutable_values_of<std::uint8_t>(codes));
  return codes;
}

}  // namespace lowbit
