#include "lowbit/formats/packing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>

#include "base/every_isa.h"
#include "formats/joined_bits.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

constexpr std::array<int, 8> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};

void require_bits(int bits) {
  if (bits < 1 || bits > 8) fail(ErrorCode::kInternal, "packing: {} bits, expected 1 to 8", bits);
}

void require_size(const char* what, std::size_t size, std::int64_t expected) {
  if (expected < 0 || size != static_cast<std::size_t>(expected)) {
    fail(ErrorCode::kInternal, "packing: {} {}, expected {}", size, what, expected);
  }
}

void require_whole_words(std::int64_t count, int bits, const char* what) {
  if ((count * bits) % 32 != 0) {
    fail(ErrorCode::kInternal, "packing: {} {} of {} bits do not fill whole 32-bit words", count, what, bits);
  }
}

static_assert(std::endian::native == std::endian::little, "codes are packed as bytes of words");

// Values that fill whole words whatever their bits.
constexpr std::size_t kRun = 32;

// Eight values, a byte each, as one number of 8 * bits bits, the first the lowest; and back.
std::uint64_t squeezed(std::uint64_t eight, int bits) {
  constexpr std::uint64_t kBytes = 0x00FF00FF00FF00FF;
  constexpr std::uint64_t kHalves = 0x0000FFFF0000FFFF;
  eight = (eight & kBytes) | (eight >> 8 & kBytes) << bits;
  eight = (eight & kHalves) | (eight >> 16 & kHalves) << (2 * bits);
  return (eight & 0xFFFFFFFF) | eight >> 32 << (4 * bits);
}
std::uint64_t spread(std::uint64_t eight, int bits) {
  const auto lowest = [](int count) { return (std::uint64_t{1} << count) - 1; };
  const std::uint64_t pairs = lowest(2 * bits) * 0x0000000100000001;
  const std::uint64_t single = lowest(bits) * 0x0001000100010001;
  eight = (eight & lowest(4 * bits)) | eight >> (4 * bits) << 32;
  eight = (eight & pairs) | (eight >> (2 * bits) & pairs) << 16;
  return (eight & single) | (eight >> bits & single) << 8;
}

// The usual width, as loops that compilers turn into vectors.
LOWBIT_EVERY_ISA
void pack_halves(const std::uint8_t* values, std::size_t pairs, std::uint8_t* bytes) {
  for (std::size_t i = 0; i < pairs; ++i) {
    std::uint16_t pair = 0;
    std::memcpy(&pair, values + 2 * i, sizeof pair);
    bytes[i] = static_cast<std::uint8_t>(pair | pair >> 4);
  }
}
LOWBIT_EVERY_ISA
void unpack_halves(const std::uint8_t* bytes, std::size_t pairs, std::uint8_t* values) {
  for (std::size_t i = 0; i < pairs; ++i) {
    const auto pair = static_cast<std::uint16_t>((bytes[i] | bytes[i] << 4) & 0x0F0F);
    std::memcpy(values + 2 * i, &pair, sizeof pair);
  }
}

// Whole runs; returns how many values they hold.
std::size_t pack_runs(std::span<const std::uint8_t> values, int bits, std::span<std::uint32_t> words) {
  if (bits == 4) {
    const std::size_t whole = values.size() / kRun * kRun;
    pack_halves(values.data(), whole / 2, reinterpret_cast<std::uint8_t*>(words.data()));
    return whole;
  }
  const auto width = static_cast<std::size_t>(bits);
  std::array<std::uint8_t, kRun + 8> bytes;
  std::size_t begin = 0;
  for (; begin + kRun <= values.size(); begin += kRun) {
    for (std::size_t i = 0; i < kRun / 8; ++i) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, values.data() + begin + 8 * i, sizeof eight);
      eight = squeezed(eight, bits);
      std::memcpy(bytes.data() + i * width, &eight, sizeof eight);
    }
    std::memcpy(words.data() + begin / kRun * width, bytes.data(), kRun / 8 * width);
  }
  return begin;
}
std::size_t unpack_runs(std::span<const std::uint32_t> words, int bits, std::span<std::uint8_t> values) {
  if (bits == 4) {
    const std::size_t whole = values.size() / kRun * kRun;
    unpack_halves(reinterpret_cast<const std::uint8_t*>(words.data()), whole / 2, values.data());
    return whole;
  }
  const auto width = static_cast<std::size_t>(bits);
  std::array<std::uint8_t, kRun + 8> bytes{};
  std::size_t begin = 0;
  for (; begin + kRun <= values.size(); begin += kRun) {
    std::memcpy(bytes.data(), words.data() + begin / kRun * width, kRun / 8 * width);
    for (std::size_t i = 0; i < kRun / 8; ++i) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, bytes.data() + i * width, sizeof eight);
      eight = spread(eight, bits);
      std::memcpy(values.data() + begin + 8 * i, &eight, sizeof eight);
    }
  }
  return begin;
}

}  // namespace

std::int64_t packed_words(std::int64_t count, int bits) { return (count * bits + 31) / 32; }

void pack_bits(std::span<const std::uint8_t> values, int bits, std::span<std::uint32_t> words) {
  require_bits(bits);
  require_size("words", words.size(), packed_words(static_cast<std::int64_t>(values.size()), bits));
  if ((joined_bits(values) >> bits) != 0) {
    fail(ErrorCode::kInternal, "packing: value {} does not fit {} bits", *std::ranges::max_element(values), bits);
  }
  const std::size_t done = pack_runs(values, bits, words);
  std::uint64_t buffer = 0;  // the `filled` low bits wait to be written
  int filled = 0;
  std::size_t next = done / kRun * static_cast<std::size_t>(bits);
  for (const std::uint8_t value : values.subspan(done)) {
    buffer |= static_cast<std::uint64_t>(value) << filled;
    filled += bits;
    if (filled >= 32) {
      words[next++] = static_cast<std::uint32_t>(buffer);
      buffer >>= 32;
      filled -= 32;
    }
  }
  if (filled > 0) words[next] = static_cast<std::uint32_t>(buffer);
}

void unpack_bits(std::span<const std::uint32_t> words, int bits, std::span<std::uint8_t> values) {
  require_bits(bits);
  require_size("words", words.size(), packed_words(static_cast<std::int64_t>(values.size()), bits));
  const std::size_t done = unpack_runs(words, bits, values);
  const std::uint32_t mask = (1U << bits) - 1U;
  std::uint64_t buffer = 0;
  int left = 0;
  std::size_t next = done / kRun * static_cast<std::size_t>(bits);
  for (std::uint8_t& value : values.subspan(done)) {
    if (left < bits) {
      buffer |= static_cast<std::uint64_t>(words[next++]) << left;
      left += 32;
    }
    value = static_cast<std::uint8_t>(buffer & mask);
    buffer >>= bits;
    left -= bits;
  }
}

namespace {

// pack or unpack(row) for each, by all threads.
void for_each_row(std::int64_t rows, std::int64_t columns, const std::function<void(std::size_t)>& work) {
  constexpr std::int64_t kValues = std::int64_t{1} << 17;
  parallel_for(rows, std::max<std::int64_t>(1, kValues / std::max<std::int64_t>(1, columns)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) work(static_cast<std::size_t>(row));
               });
}

}  // namespace

void pack_rows(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns, int bits,
               std::span<std::uint32_t> words) {
  require_size("values", values.size(), rows * columns);
  require_size("words", words.size(), rows * packed_words(columns, bits));
  const auto width = static_cast<std::size_t>(columns);
  const auto stride = static_cast<std::size_t>(packed_words(columns, bits));
  for_each_row(rows, columns, [&](std::size_t row) {
    pack_bits(values.subspan(row * width, width), bits, words.subspan(row * stride, stride));
  });
}

void unpack_rows(std::span<const std::uint32_t> words, std::int64_t rows, std::int64_t columns, int bits,
                 std::span<std::uint8_t> values) {
  require_size("words", words.size(), rows * packed_words(columns, bits));
  require_size("values", values.size(), rows * columns);
  const auto width = static_cast<std::size_t>(columns);
  const auto stride = static_cast<std::size_t>(packed_words(columns, bits));
  for_each_row(rows, columns, [&](std::size_t row) {
    unpack_bits(words.subspan(row * stride, stride), bits, values.subspan(row * width, width));
  });
}

Words pack_rows(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns, int bits) {
  Words words(static_cast<std::size_t>(rows * packed_words(columns, bits)));
  pack_rows(values, rows, columns, bits, words);
  return words;
}

Codes unpack_rows(std::span<const std::uint32_t> words, std::int64_t rows, std::int64_t columns, int bits) {
  require_size("words", words.size(), rows * packed_words(columns, bits));
  Codes values(static_cast<std::size_t>(rows * columns));
  unpack_rows(words, rows, columns, bits, values);
  return values;
}

namespace {

template <typename Number>
std::vector<Number> transposed(std::span<const Number> values, std::int64_t rows, std::int64_t columns) {
  require_size("values", values.size(), rows * columns);
  std::vector<Number> out(values.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      out[static_cast<std::size_t>(column * rows + row)] = values[static_cast<std::size_t>(row * columns + column)];
    }
  }
  return out;
}

}  // namespace

Codes transpose_codes(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns) {
  return transposed(values, rows, columns);
}

Words pack_columns(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns, int bits) {
  const Words by_column = pack_rows(transpose_codes(values, rows, columns), columns, rows, bits);
  return transposed(std::span<const std::uint32_t>(by_column), columns, packed_words(rows, bits));
}

Codes unpack_columns(std::span<const std::uint32_t> words, std::int64_t rows, std::int64_t columns, int bits) {
  const Words by_column = transposed(words, packed_words(rows, bits), columns);
  return transpose_codes(unpack_rows(by_column, columns, rows, bits), columns, rows);
}

Words pack_gptq_codes(std::span<const std::uint8_t> codes, std::int64_t out, std::int64_t in, int bits) {
  require_whole_words(in, bits, "input columns");
  const Words by_row = pack_rows(codes, out, in, bits);
  return transposed(std::span<const std::uint32_t>(by_row), out, packed_words(in, bits));
}

Codes unpack_gptq_codes(std::span<const std::uint32_t> words, std::int64_t out, std::int64_t in, int bits) {
  require_whole_words(in, bits, "input columns");
  return unpack_rows(transposed(words, packed_words(in, bits), out), out, in, bits);
}

Words pack_gptq_zeros(std::span<const std::uint8_t> zeros, std::int64_t out, std::int64_t groups, int bits,
                      GptqVersion version) {
  require_bits(bits);
  require_whole_words(out, bits, "outputs");
  Codes stored = transpose_codes(zeros, out, groups);
  if (version == GptqVersion::kV1) {
    const std::uint8_t mask = static_cast<std::uint8_t>((1U << bits) - 1U);
    for (std::uint8_t& zero : stored) zero = static_cast<std::uint8_t>((zero + mask) & mask);  // z - 1 modulo 2^bits
  }
  return pack_rows(stored, groups, out, bits);
}

Codes unpack_gptq_zeros(std::span<const std::uint32_t> words, std::int64_t out, std::int64_t groups, int bits,
                        GptqVersion version) {
  require_bits(bits);
  require_whole_words(out, bits, "outputs");
  Codes stored = unpack_rows(words, groups, out, bits);
  if (version == GptqVersion::kV1) {
    const std::uint8_t mask = static_cast<std::uint8_t>((1U << bits) - 1U);
    for (std::uint8_t& zero : stored) zero = static_cast<std::uint8_t>((zero + 1U) & mask);
  }
  return transpose_codes(stored, groups, out);
}

Words pack_awq(std::span<const std::uint8_t> values, std::int64_t out, std::int64_t n) {
  require_whole_words(out, 4, "outputs");
  Codes ordered = transpose_codes(values, out, n);  // [n, out]
  std::array<std::uint8_t, 8> block{};
  for (std::size_t start = 0; start < ordered.size(); start += 8) {
    for (std::size_t k = 0; k < 8; ++k) block[k] = ordered[start + static_cast<std::size_t>(kAwqOrder[k])];
    for (std::size_t k = 0; k < 8; ++k) ordered[start + k] = block[k];
  }
  return pack_rows(ordered, n, out, 4);
}

Codes unpack_awq(std::span<const std::uint32_t> words, std::int64_t out, std::int64_t n) {
  require_whole_words(out, 4, "outputs");
  Codes ordered = unpack_rows(words, n, out, 4);
  std::array<std::uint8_t, 8> block{};
  for (std::size_t start = 0; start < ordered.size(); start += 8) {
    for (std::size_t k = 0; k < 8; ++k) block[static_cast<std::size_t>(kAwqOrder[k])] = ordered[start + k];
    for (std::size_t k = 0; k < 8; ++k) ordered[start + k] = block[k];
  }
  return transpose_codes(ordered, n, out);
}

}  // namespace lowbit
