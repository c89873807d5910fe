#pragma once

#include "kernels/cuda/arithmetic.h"

// GPTQ's steps through neighbouring columns of a weight (Frantar et al., arXiv 2210.17323, algorithm 1): a column is
// rounded, and its error spread over those behind it; with GPTAQ's correction (Li et al., arXiv 2504.02692) the column
// itself too.
namespace lowbit::kernels::cuda {

/// Of one call. GPUs of compute capability 8.6 and 8.9 have 99 KB of shared memory for a block.
constexpr int most_solved_columns(bool carries) { return carries ? 64 : 128; }

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
  std::int32_t columns;          ///< `most_solved_columns` at most
  std::int32_t top;              ///< the largest code, 255 at most
  bool real_zeros;               ///< a code is round(w / scale + zero), else round(w / scale) + zero
  const float* carry = nullptr;  ///< null, or GPTAQ's P as `upper` lies: columns are added times its rows, unrounded
  float* carried = nullptr;      ///< [columns][rows], with `carry`: becomes what was added
  float* values = nullptr;       ///< [columns][rows], with `carry`, or null: becomes what codes stand for
};

/// A thread takes a row, leaf by leaf, with the leaf's weights in registers. To an element of it the products with all
/// columns before it are added one after the other, of each column its error's and then its own if it is carried, by
/// fused multiply-adds: without carried columns these are the bits of the CPU's sweep. The block's threads share the
/// matrices, of which shared memory holds the squares of leaves on the diagonal and above it; each thread keeps its own
/// row's errors, negated, and carried columns there too.
template <bool kCarries>
class SolveColumns {
 public:
  static constexpr int kThreads = 64;
  static constexpr int kResidentBlocks = 3;
  static constexpr int kLeaf = 16;
  static constexpr int kMostColumns = most_solved_columns(kCarries);

 private:
  static constexpr int kMatrixWords = (kMostColumns / kLeaf) * (kMostColumns / kLeaf + 1) / 2 * kLeaf * kLeaf;
  /// Of the rows' errors; nobody reads those of the last leaf.
  static constexpr int kFactorWords = (kMostColumns - kLeaf) * kThreads;
  static constexpr int kErrorsAt = (kCarries ? 2 : 1) * kMatrixWords;
  static constexpr int kCarriedAt = kErrorsAt + kFactorWords;

 public:
  static constexpr int kSharedWords = kErrorsAt + (kCarries ? 2 : 1) * kFactorWords;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const SolveColumnsCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    copy_matrix(thread, call, call.upper, 0);
    if constexpr (kCarries) copy_matrix(thread, call, call.carry, kMatrixWords);
    thread.commit_copies();
    thread.template wait_copies<0>();
    thread.sync();
    const int row = thread.block(0) * kThreads + thread.index();
    if (row >= call.rows) return;
    LOWBIT_NO_UNROLL
    for (int first = 0; first < call.columns; first += kLeaf) {
      SolveColumns leaf(call, row, first);
      LOWBIT_NO_UNROLL
      for (int before = 0; before < first; before += kLeaf) {
        leaf.add_products(thread, before);
      }
      leaf.round(thread, call, row);
    }
  }

 private:
  /// Of leaf `before`'s rows and leaf `own`'s columns, in a matrix.
  LOWBIT_HOST_DEVICE static int square_at(int before, int own) {
    return (own * (own + 1) / 2 + before) * kLeaf * kLeaf;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void copy_matrix(Thread& thread, const SolveColumnsCall& call, const float* matrix,
                                             int to) {
    auto shared = thread.template shared<float>();
    int before = 0;
    int own = 0;
    LOWBIT_NO_UNROLL
    while (own * kLeaf < call.columns) {
      LOWBIT_UNROLL
      for (int i = 0; i < kLeaf * kLeaf / kThreads; ++i) {
        const int word = i * kThreads + thread.index();
        const int row = before * kLeaf + word / kLeaf;
        const int column = own * kLeaf + word % kLeaf;
        const bool present = row < call.columns && column < call.columns;
        const float* from = present ? matrix + row * call.upper_stride + column : matrix;
        shared.template copy_async<4>(to + square_at(before, own) + word, from, present);
      }
      const bool on_diagonal = before == own;
      before = on_diagonal ? 0 : before + 1;
      own += on_diagonal ? 1 : 0;
    }
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

  /// With the columns of the leaf that begins at `before`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_products(Thread& thread, int before) {
    const auto shared = thread.template shared<float>();
    const int square = square_at(before / kLeaf, first_ / kLeaf);
    LOWBIT_UNROLL
    for (int i = 0; i < kLeaf; ++i) {
      const int at = (before + i) * kThreads + thread.index();
      add_products(shared, square + i * kLeaf, shared.load(kErrorsAt + at));
      if constexpr (kCarries) add_products(shared, kMatrixWords + square + i * kLeaf, shared.load(kCarriedAt + at));
    }
  }
  template <typename Shared>
  LOWBIT_HOST_DEVICE void add_products(const Shared& shared, int row, float factor) {
    LOWBIT_UNROLL
    for (int j = 0; j < kLeaf; j += 4) {
      const Word4 numbers = shared.load16(row + j);
      LOWBIT_UNROLL
      for (int k = 0; k < 4; ++k) weights_[j + k] = fused(factor, float_from_bits(numbers.x[k]), weights_[j + k]);
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
      const float weight = weights_[j];
      const float code = code_of(call, j);
      const float value = scales_[j] * (code - zeros_[j]);
      const float error = quotient(weight - value, shared.load(square + j * kLeaf + j));
      const std::int64_t at = std::int64_t{column} * call.rows + row;
      call.codes[at] = static_cast<std::uint8_t>(nearest_integer(code));
      call.weights[at] = error;
      if constexpr (kCarries) {
        call.carried[at] = weight;
        if (call.values != nullptr) call.values[at] = value;
      }
      if (first_ + kLeaf < kMostColumns) {
        const int factor = column * kThreads + thread.index();
        shared.store(kErrorsAt + factor, -error);
        if constexpr (kCarries) shared.store(kCarriedAt + factor, weight);
      }
      LOWBIT_UNROLL
      for (int k = j + 1; k < kLeaf; ++k) {
        const int number = square + j * kLeaf + k;
        weights_[k] = fused(-error, shared.load(number), weights_[k]);
        if constexpr (kCarries) weights_[k] = fused(weight, shared.load(kMatrixWords + number), weights_[k]);
      }
    }
  }

  [[nodiscard]] LOWBIT_HOST_DEVICE float code_of(const SolveColumnsCall& call, int j) const {
    const float steps = quotient(weights_[j], scales_[j]);
    const float code = call.real_zeros ? nearest_whole(steps + zeros_[j]) : nearest_whole(steps) + zeros_[j];
    const auto top = static_cast<float>(call.top);
    return code > 0.0F ? (code < top ? code : top) : 0.0F;
  }

  int first_;
  float weights_[kLeaf];
  float scales_[kLeaf];
  float zeros_[kLeaf];
};

}  // namespace lowbit::kernels::cuda
