#include "tensor/float_panels.h"

#include <cstring>

#include "base/avx2.h"
#include "lowbit/base/error.h"
#include "tensor/softmax_columns.h"
#include "tensor/turn.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/backend.h"
#endif

namespace lowbit {

namespace {

template <std::int64_t kWidth>
void pack_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel) {
  for (std::int64_t k = 0; k < depth; ++k) {
    float* target = panel + k * kWidth;
    if (count == kWidth) {  // of a size that the compiler knows
      std::memcpy(target, columns + k * stride, kWidth * sizeof(float));
      continue;
    }
    for (std::int64_t c = 0; c < kWidth; ++c) target[c] = c < count ? columns[k * stride + c] : 0.0F;
  }
}

void pack_rows_plainly(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t begin, std::int64_t end,
                       std::int64_t width, float* panel) {
  for (std::int64_t k = begin; k < end; ++k) {
    for (std::int64_t r = 0; r < width; ++r) panel[k * width + r] = r < count ? rows[r * stride + k] : 0.0F;
  }
}

}  // namespace

void pack_left_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth,
                       float* panel) {
  pack_columns<kPanelRows>(columns, stride, count, depth, panel);
}

void pack_right_columns(const float* columns, std::int64_t stride, std::int64_t count, std::int64_t depth,
                        float* panel) {
  pack_columns<kPanelColumns>(columns, stride, count, depth, panel);
}

#if defined(__x86_64__)

namespace {

// Four elements of each of six rows, turned.
LOWBIT_AVX2 void turn_six_by_four(const float* rows, std::int64_t stride, float* panel) {
  __m128 a = _mm_loadu_ps(rows);
  __m128 b = _mm_loadu_ps(rows + stride);
  __m128 c = _mm_loadu_ps(rows + 2 * stride);
  __m128 d = _mm_loadu_ps(rows + 3 * stride);
  const __m128 e = _mm_loadu_ps(rows + 4 * stride);
  const __m128 f = _mm_loadu_ps(rows + 5 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  const __m128 low = _mm_unpacklo_ps(e, f);
  const __m128 high = _mm_unpackhi_ps(e, f);
  _mm_storeu_ps(panel, a);
  _mm_storel_pi(reinterpret_cast<__m64*>(panel + 4), low);
  _mm_storeu_ps(panel + 6, b);
  _mm_storeh_pi(reinterpret_cast<__m64*>(panel + 10), low);
  _mm_storeu_ps(panel + 12, c);
  _mm_storel_pi(reinterpret_cast<__m64*>(panel + 16), high);
  _mm_storeu_ps(panel + 18, d);
  _mm_storeh_pi(reinterpret_cast<__m64*>(panel + 22), high);
}

}  // namespace

void pack_left_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel) {
  const std::int64_t turned = count == kPanelRows ? depth / 4 * 4 : 0;
  for (std::int64_t k = 0; k < turned; k += 4) turn_six_by_four(rows + k, stride, panel + k * kPanelRows);
  pack_rows_plainly(rows, stride, count, turned, depth, kPanelRows, panel);
}

LOWBIT_AVX2 void pack_right_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth,
                                 float* panel) {
  const std::int64_t turned = count == kPanelColumns ? depth / 8 * 8 : 0;
  for (std::int64_t k = 0; k < turned; k += 8) {
    turn_eight_by_eight(rows + k, stride, panel + k * kPanelColumns, kPanelColumns);
    turn_eight_by_eight(rows + 8 * stride + k, stride, panel + k * kPanelColumns + 8, kPanelColumns);
  }
  pack_rows_plainly(rows, stride, count, turned, depth, kPanelColumns, panel);
}

namespace {

struct FloatLanes {
  using Vector = __m256;
  LOWBIT_AVX2 static Vector load(const float* numbers) { return _mm256_loadu_ps(numbers); }
  LOWBIT_AVX2 static void store(float* numbers, Vector values) { _mm256_storeu_ps(numbers, values); }
  LOWBIT_AVX2 static Vector broadcast(const float* number) { return _mm256_broadcast_ss(number); }
  LOWBIT_AVX2 static Vector multiply_add(Vector a, Vector b, Vector sum) { return _mm256_fmadd_ps(a, b, sum); }
};

struct DoubleLanes {
  using Vector = __m256d;
  LOWBIT_AVX2 static Vector load(const double* numbers) { return _mm256_loadu_pd(numbers); }
  LOWBIT_AVX2 static void store(double* numbers, Vector values) { _mm256_storeu_pd(numbers, values); }
  LOWBIT_AVX2 static Vector broadcast(const double* number) { return _mm256_broadcast_sd(number); }
  LOWBIT_AVX2 static Vector multiply_add(Vector a, Vector b, Vector sum) { return _mm256_fmadd_pd(a, b, sum); }
};

// Loops over sums are unrolled whole, or else these would live in memory.
template <typename Lanes, typename Number>
LOWBIT_AVX2 void multiply_panels_avx2(const PanelTileOf<Number>& tile) {
  using Vector = typename Lanes::Vector;
  constexpr std::int64_t kLanes = kPanelColumnsOf<Number> / 2;
  Vector sums[kPanelRows][2];
  const Number* from = tile.resume ? tile.target : tile.start;
  const std::int64_t from_stride = tile.resume ? tile.target_stride : 0;
#pragma GCC unroll 6
  for (std::int64_t r = 0; r < kPanelRows; ++r) {
    sums[r][0] = from != nullptr ? Lanes::load(from + r * from_stride) : Vector{};
    sums[r][1] = from != nullptr ? Lanes::load(from + r * from_stride + kLanes) : Vector{};
  }
  const Number* left = tile.left;
  const Number* right = tile.right;
  const std::int64_t depth = tile.depth;
#pragma GCC unroll 2
  for (std::int64_t k = 0; k < depth; ++k) {
    const Vector first = Lanes::load(right);
    const Vector second = Lanes::load(right + kLanes);
#pragma GCC unroll 6
    for (std::int64_t r = 0; r < kPanelRows; ++r) {
      const Vector factor = Lanes::broadcast(left + r);
      sums[r][0] = Lanes::multiply_add(factor, first, sums[r][0]);
      sums[r][1] = Lanes::multiply_add(factor, second, sums[r][1]);
    }
    left += kPanelRows;
    right += tile.right_step;
  }
#pragma GCC unroll 6
  for (std::int64_t r = 0; r < kPanelRows; ++r) {
    Lanes::store(tile.target + r * tile.target_stride, sums[r][0]);
    Lanes::store(tile.target + r * tile.target_stride + kLanes, sums[r][1]);
  }
}

}  // namespace

std::span<const PanelKernel> panel_kernels() {
  static const bool narrow = has_avx2();
  static const bool wide = narrow && __builtin_cpu_supports("avx512f");
  static const PanelKernel kernels[] = {
      {"avx2", narrow ? "" : "the processor lacks AVX2 or FMA", 1, 1, multiply_panels_avx2<FloatLanes, float>,
       multiply_panels_avx2<DoubleLanes, double>, softmax_columns_avx2},
      {"avx512", wide ? "" : "the processor lacks AVX-512", 2, 2, multiply_panels_avx512, multiply_panels_avx512,
       softmax_columns_avx512},
  };
  return kernels;
}

#else

void pack_left_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel) {
  pack_rows_plainly(rows, stride, count, 0, depth, kPanelRows, panel);
}

void pack_right_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t depth, float* panel) {
  pack_rows_plainly(rows, stride, count, 0, depth, kPanelColumns, panel);
}

std::span<const PanelKernel> panel_kernels() { return {}; }

#endif

namespace {

const PanelKernel* fastest_kernel() {
  const PanelKernel* fastest = nullptr;
  for (const PanelKernel& kernel : panel_kernels()) {
    if (kernel.missing.empty()) fastest = &kernel;
  }
  return fastest;
}

}  // namespace

bool float_panels_available() { return fastest_kernel() != nullptr; }

bool bfloat16_is_widened() {
#if defined(__x86_64__)
  if (!float_panels_available() || kernels::missing_for_amx().empty()) return false;
  return !(__builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16"));
#else
  return false;
#endif
}

const PanelKernel& panel_kernel() {
  const PanelKernel* kernel = fastest_kernel();
  LOWBIT_ASSERT(kernel != nullptr);
  return *kernel;
}

}  // namespace lowbit
