#pragma once

#include <cstdint>
#include <span>

namespace lowbit {

/// One after the other.
[[nodiscard]] double sum_of(std::span<const double> numbers);

/// sum a[i] b[i] of float32 numbers in float64: sixteen sums side by side, added up one after the other. Every
/// instruction set gives the same bits.
[[nodiscard]] double sum_of_products(const float* a, const float* b, std::int64_t count);

/// Squares of a row, and of what it changed by.
struct RowSquares {
  double original = 0;
  double change = 0;  ///< of differences in float32
};
/// Summed up as `sum_of_products` does.
[[nodiscard]] RowSquares squares_of_row(const float* original, const float* solved, std::int64_t columns);

}  // namespace lowbit
