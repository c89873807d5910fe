#include "lowbit/tensor/vector_product.h"

#include <cstring>

#include "base/every_isa.h"
#include "lowbit/base/error.h"
#include "lowbit/base/half.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLanes = 16;
// Rows that pass side by side, so that a sum's latency holds nobody up.
constexpr std::int64_t kRows = 4;

using Floats = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));
using Halves = std::uint16_t __attribute__((vector_size(32)));

[[gnu::always_inline]] inline void load(const float* at, Floats& numbers) { std::memcpy(&numbers, at, sizeof numbers); }
[[gnu::always_inline]] inline void load(const std::uint16_t* at, Floats& numbers) {
  Halves halves;
  std::memcpy(&halves, at, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  std::memcpy(&numbers, &words, sizeof numbers);
}

[[gnu::always_inline]] inline float widened(float number) { return number; }
[[gnu::always_inline]] inline float widened(std::uint16_t number) { return bfloat16_to_float(number); }

// `count` rows, at most kRows; the others of the four are the last again.
template <typename Number>
[[gnu::always_inline]] inline void multiply_rows(const VectorProduct& product, std::int64_t row, std::int64_t count,
                                                 float* out) {
  const Number* weight = static_cast<const Number*>(product.weight) + row * product.columns;
  const Number* rows[kRows];
  for (std::int64_t r = 0; r < kRows; ++r) rows[r] = weight + (r < count ? r : count - 1) * product.columns;
  Floats a = {};
  Floats b = {};
  Floats c = {};
  Floats d = {};
  std::int64_t i = 0;
  for (; i + kLanes <= product.columns; i += kLanes) {
    Floats x;
    Floats w;
    load(product.x + i, x);
    load(rows[0] + i, w);
    a += w * x;
    load(rows[1] + i, w);
    b += w * x;
    load(rows[2] + i, w);
    c += w * x;
    load(rows[3] + i, w);
    d += w * x;
  }
  float lanes[kRows][kLanes];
  std::memcpy(lanes[0], &a, sizeof a);
  std::memcpy(lanes[1], &b, sizeof b);
  std::memcpy(lanes[2], &c, sizeof c);
  std::memcpy(lanes[3], &d, sizeof d);
  for (std::int64_t r = 0; r < count; ++r) {
    for (std::int64_t rest = i; rest < product.columns; ++rest) {
      lanes[r][rest - i] += widened(rows[r][rest]) * product.x[rest];
    }
    for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
      for (std::int64_t lane = 0; lane < width; ++lane) lanes[r][lane] += lanes[r][lane + width];
    }
    out[r] = product.bias == nullptr ? lanes[r][0] : product.bias[row + r] + lanes[r][0];
  }
}

template <typename Number>
[[gnu::always_inline]] inline void multiply_range(const VectorProduct& product, std::int64_t begin, std::int64_t end,
                                                  float* out) {
  for (std::int64_t row = begin; row < end; row += kRows) {
    multiply_rows<Number>(product, row, row + kRows < end ? kRows : end - row, out + row - begin);
  }
}

LOWBIT_EVERY_ISA
void multiply_floats(const VectorProduct& product, std::int64_t begin, std::int64_t end, float* out) {
  multiply_range<float>(product, begin, end, out);
}

LOWBIT_EVERY_ISA
void multiply_bfloats(const VectorProduct& product, std::int64_t begin, std::int64_t end, float* out) {
  multiply_range<std::uint16_t>(product, begin, end, out);
}

}  // namespace

void VectorProduct::run(std::int64_t begin, std::int64_t end, float* out) const {
  switch (type) {
    case DType::kFloat32: return multiply_floats(*this, begin, end, out);
    case DType::kBFloat16: return multiply_bfloats(*this, begin, end, out);
    default:
      fail(ErrorCode::kInternal, "vector product: the weight is {}, expected float32 or bfloat16", dtype_name(type));
  }
}

}  // namespace lowbit
