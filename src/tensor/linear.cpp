#include "tensor/linear.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/ceil_divide.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/vector_product.h"
#include "tensor/alignment.h"
#include "tensor/autograd.h"
#include "tensor/float_panels.h"
#include "tensor/float_product.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Output columns of a unit. Narrow enough for several threads to share a small projection, wide enough for the packing
// of x to cost little; a multiple of 64 elements, so that a slice begins on a cache line in every type. Measured on
// AVX-512 with 512 rows: float32 within 14 %, bfloat16 within 21 % of the undivided product.
std::int64_t tile_columns(std::int64_t out_features) {
  if (out_features >= 16384) return 1536;
  return out_features >= 512 ? 384 : 192;
}

// Output columns of a unit of the product with a single row.
constexpr std::int64_t kVectorColumns = 64;

// One product with everything that its units share.
struct Product {
  at::Tensor x;       // [sequences * tokens, in]
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined
  at::Tensor out;     // [sequences * tokens, out]
  std::int64_t tokens;
  LinearTiling tiling;

  [[nodiscard]] std::int64_t tiles() const { return ceil_divide(tokens, tiling.rows); }
  [[nodiscard]] std::int64_t slices() const { return ceil_divide(weight.size(0), tiling.columns); }
  [[nodiscard]] std::int64_t sequences() const { return x.size(0) / tokens; }
};

void multiply(at::Tensor& out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (bias.defined()) {
    at::addmm_out(out, bias, x, weight.t());
  } else {
    at::mm_out(out, x, weight.t());
  }
}

// A unit always multiplies `tiling.rows` rows that begin on a cache line: the rows of a short or unaligned tile are
// copied, with zeros below them, and the result is copied back.
void run_tile(const Product& product, std::int64_t sequence, std::int64_t tile, std::int64_t slice) {
  const NoGradScope no_grad;
  const std::int64_t row = tile * product.tiling.rows;
  const std::int64_t rows = std::min(product.tiling.rows, product.tokens - row);
  const std::int64_t column = slice * product.tiling.columns;
  const std::int64_t columns = std::min(product.tiling.columns, product.weight.size(0) - column);
  const at::Tensor weight = product.weight.narrow(0, column, columns);
  const at::Tensor bias = product.bias.defined() ? product.bias.narrow(0, column, columns) : at::Tensor();
  at::Tensor x = product.x.narrow(0, sequence * product.tokens + row, rows);
  at::Tensor out = product.out.narrow(0, sequence * product.tokens + row, rows).narrow(1, column, columns);
  if (rows == product.tiling.rows && aligned(x)) {
    multiply(out, x, weight, bias);
    return;
  }
  at::Tensor padded = at::zeros({product.tiling.rows, x.size(1)}, x.options());
  padded.narrow(0, 0, rows).copy_(x);
  at::Tensor result =
      at::empty({product.tiling.rows, product.weight.size(0)}, out.options()).narrow(1, column, columns);
  multiply(result, padded, weight, bias);
  out.copy_(result.narrow(0, 0, rows));
}

// One token of each sequence, bound by reading the weight: a slice of it passes all sequences while the cache holds it.
template <typename Number>
void run_vectors(const Product& product, double work) {
  const NoGradScope no_grad;
  const at::Tensor x = product.x.to(at::kFloat);
  const at::Tensor bias = product.bias.defined() ? product.bias.to(at::kFloat).contiguous() : product.bias;
  const std::int64_t columns = product.weight.size(0);
  Number* out = product.out.mutable_data_ptr<Number>();
  for_each_unit(ceil_divide(columns, kVectorColumns), work, [&](std::int64_t slice) {
    const std::int64_t begin = slice * kVectorColumns;
    const std::int64_t end = std::min(columns, begin + kVectorColumns);
    float sums[kVectorColumns];
    for (std::int64_t sequence = 0; sequence < product.sequences(); ++sequence) {
      const VectorProduct one{.x = x.const_data_ptr<float>() + sequence * x.size(1),
                              .weight = product.weight.const_data_ptr(),
                              .type = dtype_of(product.weight),
                              .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                              .columns = x.size(1)};
      one.run(begin, end, sums);
      for (std::int64_t i = begin; i < end; ++i) out[sequence * columns + i] = static_cast<Number>(sums[i - begin]);
    }
  });
}

void check_shapes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool fits = x.dim() >= 1 && weight.dim() == 2 && x.size(-1) == weight.size(1) &&
                    (!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0))) &&
                    x.scalar_type() == weight.scalar_type();
  if (!fits) {
    fail(ErrorCode::kInternal, "linear: input {} of {} does not go with weight {} of {}", shape_text(shape_of(x)),
         c10::toString(x.scalar_type()), shape_text(shape_of(weight)), c10::toString(weight.scalar_type()));
  }
}

}  // namespace

at::Tensor tiled_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, LinearTiling tiling) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  at::Tensor out = at::empty(shape, x.options().requires_grad(false));
  if (out.numel() == 0) return out;
  if (x.size(-1) == 0) return bias.defined() ? out.copy_(bias) : out.zero_();
  const std::int64_t tokens = x.dim() >= 2 ? x.size(-2) : 1;
  const Product product{x.contiguous().view({-1, x.size(-1)}),
                        aligned_contiguous(weight),
                        bias,
                        out.view({-1, out.size(-1)}),
                        tokens,
                        tiling};
  const double work = static_cast<double>(out.numel()) * static_cast<double>(x.size(-1));
  if (tokens == 1 && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    x.scalar_type() == at::kFloat ? run_vectors<float>(product, work) : run_vectors<at::BFloat16>(product, work);
    return out;
  }
  // Neighbouring units share a tile's rows, which stay in the cache while the weight's slices pass by.
  const std::int64_t slices = product.slices();
  const std::int64_t tiles = product.tiles();
  for_each_unit(product.sequences() * tiles * slices, work, [&](std::int64_t unit) {
    run_tile(product, unit / (tiles * slices), unit / slices % tiles, unit % slices);
  });
  return out;
}

namespace {

bool suits_panels(const at::Tensor& x, const at::Tensor& weight) {
  const bool fits = x.dim() >= 2 && x.size(-2) > 1 && weight.size(1) > 0;
  if (x.scalar_type() == at::kFloat) return fits && float_panels_available();
  return x.scalar_type() == at::kBFloat16 && fits && bfloat16_is_widened();
}

// All of float32, rows of `out` as many numbers apart as its stride says.
void multiply_floats(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  multiply(FloatProduct{.x = x.const_data_ptr<float>(),
                        .weight = weight.const_data_ptr<float>(),
                        .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                        .out = out.mutable_data_ptr<float>(),
                        .rows = x.size(0),
                        .columns = weight.size(0),
                        .depth = weight.size(1)});
}

// Where `bfloat16_is_widened`: LibTorch's products of bfloat16 take eight times as long as those of float32 without
// AVX-512, and 1.7 times with it (docs/benchmarks/cpu.md). In float32 every product of two bfloat16 numbers is exact.
// So they are widened, a slice of the weight at a time.
void multiply_widened(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  constexpr std::int64_t kElements = std::int64_t{1} << 19;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor wide_bias = bias.defined() ? bias.to(at::kFloat) : at::Tensor();
  const std::int64_t step = std::max<std::int64_t>(kElements / weight.size(1), 1);
  for (std::int64_t first = 0; first < weight.size(0); first += step) {
    const std::int64_t count = std::min(step, weight.size(0) - first);
    const at::Tensor part = at::empty({wide.size(0), count}, wide.options().requires_grad(false));
    multiply_floats(part, wide, weight.narrow(0, first, count).to(at::kFloat).contiguous(),
                    bias.defined() ? wide_bias.narrow(0, first, count) : wide_bias);
    out.narrow(1, first, count).copy_(part);
  }
}

at::Tensor panel_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  at::Tensor out = at::empty(shape, x.options().requires_grad(false));
  if (out.numel() == 0) return out;
  const at::Tensor rows = x.contiguous().view({-1, weight.size(1)});
  const at::Tensor offsets = bias.defined() ? bias.contiguous() : at::Tensor();
  if (x.scalar_type() == at::kFloat) {
    multiply_floats(out, rows, weight.contiguous(), offsets);
  } else {
    multiply_widened(out.view({-1, weight.size(0)}), rows, weight, offsets);
  }
  return out;
}

enum class Route { kLibrary, kPanels, kTiles };

Route route_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool deterministic) {
  if (needs_functional({x, weight, bias})) return Route::kLibrary;
  const bool panels = suits_panels(x, weight);
  if (!deterministic && !(panels && x.scalar_type() == at::kBFloat16)) return Route::kLibrary;
  return panels ? Route::kPanels : Route::kTiles;
}

}  // namespace

bool columns_stand_alone(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool deterministic) {
  return route_of(x, weight, bias, deterministic) == Route::kPanels;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool deterministic) {
  check_shapes(x, weight, bias);
  ensure_threads();
  switch (route_of(x, weight, bias, deterministic)) {
    case Route::kLibrary: return at::linear(x, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
    case Route::kPanels: return panel_linear(x, weight, bias);
    case Route::kTiles: break;
  }
  return tiled_linear(x, weight, bias, {kTileRows, tile_columns(weight.size(0))});
}

}  // namespace lowbit
