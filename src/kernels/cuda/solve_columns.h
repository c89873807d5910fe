#pragma once

#include "kernels/cuda/arithmetic.h"

// GPTQ's steps through neighbouring columns of a weight (Frantar et al., arXiv 2210.17323, algorithm 1): a column is
// rounded, and its error spread over those behind it.
namespace lowbit::kernels::cuda {

/// Matrices are transposed: a column of the weight is `rows` numbers side by side.
struct SolveColumnsCall {
  float* weights;       ///< [columns][rows]: with every update of the columns before; become the errors (w - q) / U_jj
  const float* upper;   ///< [columns][upper_stride]: the rows of U from these columns' square on the diagonal on
  const float* scales;  ///< [groups][rows]
  const float* zeros;   ///< likewise
  const std::int32_t* groups;  ///< [columns]: the group of each
  std::uint8_t* codes;         ///< [columns][rows]
  std::int64_t upper_stride;
  std::int32_t rows;
  std::int32_t columns;  ///< SolveColumns::kMostColumns at most
  std::int32_t top;      ///< the largest code, 255 at most
  bool real_zeros;       ///< a code is round(w / scale + zero), else round(w / scale) + zero
};

/// A thread takes a row, leaf by leaf, with the leaf's weights in registers. An element of it loses the products of all
/// columns before it one after the other, by fused multiply-adds, which gives the bits of the CPU's sweep. The block's
/// threads share U, of which shared memory holds the squares of leaves on the diagonal and above it; each thread keeps
/// its own row's errors there too.
class SolveColumns {
 public:
  static constexpr int kThreads = 64;
  static constexpr int kResidentBlocks = 3;
  static constexpr int kLeaf = 16;
  static constexpr int kMostColumns = 128;
  static constexpr int kSquares = (kMostColumns / kLeaf) * (kMostColumns / kLeaf + 1) / 2;
  static constexpr int kErrorsAt = kSquares * kLeaf * kLeaf;
  /// Nobody reads the errors of the last leaf.
  static constexpr int kSharedWords = kErrorsAt + (kMostColumns - kLeaf) * kThreads;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const SolveColumnsCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    load_upper(thread, call);
    const int row = thread.block(0) * kThreads + thread.index();
    if (row >= call.rows) return;
    LOWBIT_NO_UNROLL
    for (int first = 0; first < call.columns; first += kLeaf) {
      SolveColumns leaf(call, row, first);
      leaf.subtract_errors(thread);
      leaf.round(thread, call, row);
    }
  }

 private:
  /// The square of leaf `before`'s rows in leaf `own`'s columns.
  LOWBIT_HOST_DEVICE static int square_at(int before, int own) {
    return (own * (own + 1) / 2 + before) * kLeaf * kLeaf;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void load_upper(Thread& thread, const SolveColumnsCall& call) {
    auto shared = thread.template shared<float>();
    int before = 0;
    int own = 0;
    LOWBIT_NO_UNROLL
    while (own * kLeaf < call.columns) {
      LOWBIT_UNROLL
      for (int i = thread.index(); i < kLeaf * kLeaf; i += kThreads) {
        const int row = before * kLeaf + i / kLeaf;
        const int column = own * kLeaf + i % kLeaf;
        const bool present = row < call.columns && column < call.columns;
        const float* from = present ? call.upper + row * call.upper_stride + column : call.upper;
        shared.template copy_async<4>(square_at(before, own) + i, from, present);
      }
      if (before == own) {
        before = 0;
        ++own;
      } else {
        ++before;
      }
    }
    thread.commit_copies();
    thread.template wait_copies<0>();
    thread.sync();
  }

  LOWBIT_HOST_DEVICE SolveColumns(const SolveColumnsCall& call, int row, int first) : first_(first) {
    LOWBIT_UNROLL
    for (int j = 0; j < kLeaf; ++j) {
      // Of columns that there are not, nothing is stored.
      const int column = first + j < call.columns ? first + j : call.columns - 1;
      const std::int64_t parameters = std::int64_t{call.groups[column]} * call.rows + row;
      weights_[j] = call.weights[std::int64_t{column} * call.rows + row];
      scales_[j] = call.scales[parameters];
      zeros_[j] = call.zeros[parameters];
    }
  }

  /// Takes the errors of the leaves before this one off its weights.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void subtract_errors(Thread& thread) {
    const auto shared = thread.template shared<float>();
    LOWBIT_NO_UNROLL
    for (int before = 0; before < first_; before += kLeaf) {
      const int square = square_at(before / kLeaf, first_ / kLeaf);
      LOWBIT_UNROLL
      for (int i = 0; i < kLeaf; ++i) {
        const float error = shared.load(error_at(thread, before + i));
        LOWBIT_UNROLL
        for (int j = 0; j < kLeaf; j += 4) {
          const Word4 factors = shared.load16(square + i * kLeaf + j);
          LOWBIT_UNROLL
          for (int k = 0; k < 4; ++k) {
            weights_[j + k] = fused(-error, float_from_bits(factors.x[k]), weights_[j + k]);
          }
        }
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void round(Thread& thread, const SolveColumnsCall& call, int row) {
    auto shared = thread.template shared<float>();
    const int square = square_at(first_ / kLeaf, first_ / kLeaf);
    LOWBIT_UNROLL
    for (int j = 0; j < kLeaf; ++j) {
      const int column = first_ + j;
      if (column >= call.columns) return;
      const float code = code_of(call, j);
      const float value = scales_[j] * (code - zeros_[j]);
      const float error = quotient(weights_[j] - value, shared.load(square + j * kLeaf + j));
      const std::int64_t at = std::int64_t{column} * call.rows + row;
      call.codes[at] = static_cast<std::uint8_t>(nearest_integer(code));
      call.weights[at] = error;
      if (first_ + kLeaf < kMostColumns) shared.store(error_at(thread, column), error);
      LOWBIT_UNROLL
      for (int k = j + 1; k < kLeaf; ++k) {
        weights_[k] = fused(-error, shared.load(square + j * kLeaf + k), weights_[k]);
      }
    }
  }

  [[nodiscard]] LOWBIT_HOST_DEVICE float code_of(const SolveColumnsCall& call, int j) const {
    const float steps = quotient(weights_[j], scales_[j]);
    const float code = call.real_zeros ? nearest_whole(steps + zeros_[j]) : nearest_whole(steps) + zeros_[j];
    const auto top = static_cast<float>(call.top);
    return code > 0.0F ? (code < top ? code : top) : 0.0F;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static int error_at(Thread& thread, int column) {
    return kErrorsAt + column * kThreads + thread.index();
  }

  int first_;
  float weights_[kLeaf];
  float scales_[kLeaf];
  float zeros_[kLeaf];
};

}  // namespace lowbit::kernels::cuda
