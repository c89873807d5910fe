#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/unrolled.h"
#include "tensor/panel_tiles.h"

namespace lowbit {
namespace {

using kernels::for_each;
using kernels::Registers;

// So many rows ahead right panels are fetched into the first-level cache.
constexpr std::int64_t kAhead = 8;

[[gnu::always_inline]] inline __m512 load(const float* numbers) { return _mm512_loadu_ps(numbers); }
[[gnu::always_inline]] inline __m512d load(const double* numbers) { return _mm512_loadu_pd(numbers); }
[[gnu::always_inline]] inline void store(float* numbers, __m512 values) { _mm512_storeu_ps(numbers, values); }
[[gnu::always_inline]] inline void store(double* numbers, __m512d values) { _mm512_storeu_pd(numbers, values); }
[[gnu::always_inline]] inline __m512 broadcast(float number) { return _mm512_set1_ps(number); }
[[gnu::always_inline]] inline __m512d broadcast(double number) { return _mm512_set1_pd(number); }
[[gnu::always_inline]] inline __m512 multiply_add(__m512 a, __m512 b, __m512 sum) { return _mm512_fmadd_ps(a, b, sum); }
[[gnu::always_inline]] inline __m512d multiply_add(__m512d a, __m512d b, __m512d sum) {
  return _mm512_fmadd_pd(a, b, sum);
}

// Twelve rows by two vectors take 24 of the 32 registers.
template <int kRowPanels, int kColumnPanels, typename Number>
void multiply(const PanelTileOf<Number>& tile) {
  using Vector = decltype(load(tile.left));
  constexpr std::int64_t kColumns = kPanelColumnsOf<Number>;
  constexpr int kRows = kRowPanels * int{kPanelRows};
  constexpr int kSums = kRows * kColumnPanels;
  Registers<Vector, kSums> sums;
  const Number* from = tile.resume ? tile.target : tile.start;
  const std::int64_t from_stride = tile.resume ? tile.target_stride : 0;
  for_each<kSums>([&](auto i) LOWBIT_INLINE {
    sums.template at<i>() = from != nullptr
                                ? load(from + i / kColumnPanels * from_stride + i % kColumnPanels * kColumns)
                                : broadcast(Number{0});
  });
  const Number* left = tile.left;
  const Number* right = tile.right;
  const std::int64_t step = tile.right_step;
  for (std::int64_t k = 0; k < tile.depth; ++k) {
    Registers<Vector, kColumnPanels> columns;
    for_each<kColumnPanels>([&](auto c) LOWBIT_INLINE {
      const Number* panel = right + c * tile.right_stride;
      _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead * step), _MM_HINT_T0);
      columns.template at<c>() = load(panel);
    });
    for_each<kRows>([&](auto r) LOWBIT_INLINE {
      const Vector factor = broadcast(left[r / kPanelRows * tile.left_stride + r % kPanelRows]);
      for_each<kColumnPanels>([&](auto c) LOWBIT_INLINE {
        auto& sum = sums.template at<r * kColumnPanels + c>();
        sum = multiply_add(factor, columns.template at<c>(), sum);
      });
    });
    left += kPanelRows;
    right += step;
  }
  for_each<kSums>([&](auto i) LOWBIT_INLINE {
    store(tile.target + i / kColumnPanels * tile.target_stride + i % kColumnPanels * kColumns, sums.template at<i>());
  });
}

template <typename Number>
void multiply_any(const PanelTileOf<Number>& tile) {
  if (tile.row_panels == 2) return tile.column_panels == 2 ? multiply<2, 2>(tile) : multiply<2, 1>(tile);
  return tile.column_panels == 2 ? multiply<1, 2>(tile) : multiply<1, 1>(tile);
}

}  // namespace

void multiply_panels_avx512(const PanelTile& tile) { multiply_any(tile); }
void multiply_panels_avx512(const DoublePanelTile& tile) { multiply_any(tile); }

}  // namespace lowbit
#endif
