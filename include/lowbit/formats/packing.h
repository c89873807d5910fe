#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

// Codes of 2 to 8 bits in 32-bit little-endian words. Unless a layout says otherwise, words hold a plain bit stream:
// value j occupies bits bits*j .. bits*j + bits - 1 of one long number, so that a value may straddle two words. The
// bits behind the last value are 0. Every function throws `kInternal` when a span has another size than its comment
// says, or a value does not fit; `bits` outside 1..8 likewise.

/// Words that `count` values take: ceil(count * bits / 32).
[[nodiscard]] std::int64_t packed_words(std::int64_t count, int bits);

/// `words` has packed_words(values.size(), bits) elements.
void pack_bits(std::span<const std::uint8_t> values, int bits, std::span<std::uint32_t> words);
void unpack_bits(std::span<const std::uint32_t> words, int bits, std::span<std::uint8_t> values);

using Codes = std::vector<std::uint8_t>;
using Words = std::vector<std::uint32_t>;

/// A row-major matrix [rows, columns], each row a bit stream of its own: words [rows, packed_words(columns)].
/// compressed-tensors' `weight_packed` of codes [out, in].
[[nodiscard]] Words pack_rows(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns, int bits);
[[nodiscard]] Codes unpack_rows(std::span<const std::uint32_t> words, std::int64_t rows, std::int64_t columns,
                                int bits);
/// The same into memory of the caller's, by all threads.
void pack_rows(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns, int bits,
               std::span<std::uint32_t> words);
void unpack_rows(std::span<const std::uint32_t> words, std::int64_t rows, std::int64_t columns, int bits,
                 std::span<std::uint8_t> values);

/// Each column a bit stream of its own, running down the rows: words [packed_words(rows), columns]. compressed-tensors'
/// `weight_zero_point` of zeros [out, groups]; GPTQ's `qweight` of codes [in, out].
[[nodiscard]] Words pack_columns(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns,
                                 int bits);
[[nodiscard]] Codes unpack_columns(std::span<const std::uint32_t> words, std::int64_t rows, std::int64_t columns,
                                   int bits);

/// [rows, columns] -> [columns, rows].
[[nodiscard]] Codes transpose_codes(std::span<const std::uint8_t> values, std::int64_t rows, std::int64_t columns);

/// How a GPTQ checkpoint stores zero points: v1 stores z - 1 (modulo 2^bits, so that z = 0 survives a reader that masks
/// after adding 1; one that does not reads 2^bits), v2 stores z.
enum class GptqVersion { kV1, kV2 };

/// GPTQ: codes [out, in] -> `qweight` [packed_words(in), out]; zeros [out, groups] -> `qzeros` [groups,
/// packed_words(out)]. `in` (for codes) and `out` (for zeros) times bits must be a multiple of 32. Source of the
/// layout: the checkpoints of AutoGPTQ and GPTQModel with 2, 3, 4 and 8 bits.
[[nodiscard]] Words pack_gptq_codes(std::span<const std::uint8_t> codes, std::int64_t out, std::int64_t in, int bits);
[[nodiscard]] Codes unpack_gptq_codes(std::span<const std::uint32_t> words, std::int64_t out, std::int64_t in,
                                      int bits);
[[nodiscard]] Words pack_gptq_zeros(std::span<const std::uint8_t> zeros, std::int64_t out, std::int64_t groups,
                                    int bits, GptqVersion version);
[[nodiscard]] Codes unpack_gptq_zeros(std::span<const std::uint32_t> words, std::int64_t out, std::int64_t groups,
                                      int bits, GptqVersion version);

/// AWQ's "gemm" layout, 4 bits: values [out, n] (codes with n = in, or zeros with n = groups) -> words [n, out / 8].
/// Nibble k of word c holds output 8c + {0, 2, 4, 6, 1, 3, 5, 7}[k]; `out` must be a multiple of 8. Zeros are stored
/// without an offset.
[[nodiscard]] Words pack_awq(std::span<const std::uint8_t> values, std::int64_t out, std::int64_t n);
[[nodiscard]] Codes unpack_awq(std::span<const std::uint32_t> words, std::int64_t out, std::int64_t n);

}  // namespace lowbit
