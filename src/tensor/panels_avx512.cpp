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

// Twelve rows by 32 columns take 24 of the 32 registers.
template <int kRowPanels, int kColumnPanels>
void multiply(const PanelTile& tile) {
  constexpr int kRows = kRowPanels * int{kPanelRows};
  constexpr int kSums = kRows * kColumnPanels;
  Registers<__m512, kSums> sums;
  const float* from = tile.resume ? tile.target : tile.start;
  const std::int64_t from_stride = tile.resume ? tile.target_stride : 0;
  for_each<kSums>([&](auto i) LOWBIT_INLINE {
    sums.template at<i>() =
        from != nullptr ? _mm512_loadu_ps(from + i / kColumnPanels * from_stride + i % kColumnPanels * kPanelColumns)
                        : _mm512_setzero_ps();
  });
  const float* left = tile.left;
  const float* right = tile.right;
  const std::int64_t step = tile.right_step;
  for (std::int64_t k = 0; k < tile.depth; ++k) {
    Registers<__m512, kColumnPanels> columns;
    for_each<kColumnPanels>([&](auto c) LOWBIT_INLINE {
      const float* panel = right + c * tile.right_stride;
      _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead * step), _MM_HINT_T0);
      columns.template at<c>() = _mm512_loadu_ps(panel);
    });
    for_each<kRows>([&](auto r) LOWBIT_INLINE {
      const __m512 factor = _mm512_set1_ps(left[r / kPanelRows * tile.left_stride + r % kPanelRows]);
      for_each<kColumnPanels>([&](auto c) LOWBIT_INLINE {
        auto& sum = sums.template at<r * kColumnPanels + c>();
        sum = _mm512_fmadd_ps(factor, columns.template at<c>(), sum);
      });
    });
    left += kPanelRows;
    right += step;
  }
  for_each<kSums>([&](auto i) LOWBIT_INLINE {
    _mm512_storeu_ps(tile.target + i / kColumnPanels * tile.target_stride + i % kColumnPanels * kPanelColumns,
                     sums.template at<i>());
  });
}

}  // namespace

void multiply_panels_avx512(const PanelTile& tile) {
  if (tile.row_panels == 2) return tile.column_panels == 2 ? multiply<2, 2>(tile) : multiply<2, 1>(tile);
  return tile.column_panels == 2 ? multiply<1, 2>(tile) : multiply<1, 1>(tile);
}

}  // namespace lowbit
#endif
