#include "tensor/expanded_product.h"

#include <ATen/ops/_int_mm.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "kernels/cuda/runs.h"
#include "tensor/number_kind.h"

namespace lowbit {

namespace cuda = kernels::cuda;

ExpandedProduct::ExpandedProduct(const cuda::DeviceProduct& product, const std::byte* weight, const at::Tensor& x,
                                 void* stream, std::int64_t slice_bytes)
    : product_(product),
      table_(product.table()),
      matrix_(product.layout().at(weight)),
      sources_(product.layout().sources_at(weight)),
      x_(x),
      launch_{stream, 0},
      slice_bytes_(slice_bytes) {}

std::vector<ExpandedProduct::Slice> ExpandedProduct::slices(std::int64_t row_bytes) const {
  const std::int64_t most = std::max<std::int64_t>(slice_bytes_ / row_bytes / cuda::kTileRows, 1) * cuda::kTileRows;
  std::vector<Slice> result;
  for (std::int64_t first = 0; first < matrix_.rows; first += most) {
    result.push_back({first, std::min<std::int64_t>(most, matrix_.rows - first)});
  }
  return result;
}

cuda::Matrix ExpandedProduct::part_of(const Slice& slice) const {
  return cuda::rows_of(matrix_, static_cast<std::int32_t>(slice.first), static_cast<std::int32_t>(slice.count));
}

at::Tensor ExpandedProduct::empty(at::IntArrayRef shape, at::ScalarType type) const {
  return at::empty(shape, x_.options().dtype(type));
}

void ExpandedProduct::expand(const Slice& slice, at::Tensor& numbers) const {
  const cuda::ExpandCall call = {part_of(slice), sources_, static_cast<std::uint16_t*>(numbers.mutable_data_ptr()),
                                 numbers.stride(0)};
  const auto function = call.weight.table != nullptr ? table_.expand_table : table_.expand;
  cuda::Library::call("decoding a weight", function, cuda::NumberKind::kBFloat16, &call, &launch_);
}

void ExpandedProduct::multiply_halves(const at::Tensor& bias, at::Tensor& output) const {
  // Rows that begin on 16 bytes are loaded faster.
  const std::int64_t stride = (matrix_.columns + 7) / 8 * 8;
  const at::Tensor offsets = bias.defined() ? bias.to(x_.device(), output.scalar_type()) : bias;
  at::Tensor numbers;
  for (const Slice& slice : slices(stride * 2)) {
    if (!numbers.defined()) numbers = empty({slice.count, stride}, at::kBFloat16);
    expand(slice, numbers);
    const at::Tensor weight = numbers.narrow(0, 0, slice.count).narrow(1, 0, matrix_.columns).t();
    at::Tensor part = output.narrow(1, slice.first, slice.count);
    if (output.scalar_type() == at::kFloat) {
      at::mm_out(part, x_, weight, at::kFloat);
      if (bias.defined()) part.add_(offsets.narrow(0, slice.first, slice.count));
    } else if (bias.defined()) {
      at::addmm_out(part, offsets.narrow(0, slice.first, slice.count), x_, weight);
    } else {
      at::mm_out(part, x_, weight);
    }
  }
}

void ExpandedProduct::multiply_bytes(const at::Tensor& bias, at::Tensor& output) const {
  const auto tokens = static_cast<std::int32_t>(x_.size(0));
  const std::int64_t places = std::int64_t{matrix_.steps} * kernels::kStepColumns;
  const std::int64_t runs = cuda::runs_of(matrix_.groups, matrix_.group_steps);
  at::Tensor bytes = empty({tokens, places}, at::kChar);
  at::Tensor scales = empty({tokens}, at::kFloat);
  at::Tensor sums = empty({tokens, runs}, at::kInt);
  const cuda::QuantizeCall quantize = {x_.const_data_ptr(),
                                       kind_of(x_.scalar_type()),
                                       matrix_.columns,
                                       tokens,
                                       matrix_.columns,
                                       sources_,
                                       matrix_.steps,
                                       matrix_.groups,
                                       matrix_.group_steps,
                                       bytes.mutable_data_ptr<std::int8_t>(),
                                       scales.mutable_data_ptr<float>(),
                                       sums.mutable_data_ptr<std::int32_t>()};
  cuda::Library::call("rounding activations", table_.quantize, 1, &quantize, &launch_);
  for (const Slice& slice : slices(places + 4 * std::int64_t{tokens})) {
    const cuda::Matrix part = part_of(slice);
    at::Tensor codes = empty({std::int64_t{cuda::tiles_of(part)} * cuda::kTileRows, places}, at::kChar);
    const cuda::ExpandCodesCall expand = {part, codes.mutable_data_ptr<std::int8_t>()};
    cuda::Library::call("decoding a weight", table_.expand_codes, &expand, &launch_);
    const at::Tensor totals = at::_int_mm(bytes, codes.t());
    at::Tensor target = output.narrow(1, slice.first, slice.count);
    const float* offsets = bias.defined() ? bias.const_data_ptr<float>() + slice.first : nullptr;
    const cuda::FinishBytesCall finish = {
        part,
        totals.const_data_ptr<std::int32_t>(),
        scales.const_data_ptr<float>(),
        sums.const_data_ptr<std::int32_t>(),
        tokens,
        {target.mutable_data_ptr(), output.stride(0), kind_of(output.scalar_type()), offsets, nullptr, 0}};
    cuda::Library::call("scaling sums", table_.finish_bytes, &finish, &launch_);
  }
}

}  // namespace lowbit
