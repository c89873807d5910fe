#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/fwd.h"
#include "lowbit/tensor/dtype.h"

// Free functions of ATen behind small declarations, so that only src/tensor pays for <ATen/ops/*>.
namespace lowbit LOWBIT_EXPORT {

using Shape = std::vector<std::int64_t>;

[[nodiscard]] at::Tensor make_empty(const Shape& shape, DType type);
[[nodiscard]] at::Tensor make_zeros(const Shape& shape, DType type);
[[nodiscard]] at::Tensor make_full(const Shape& shape, double value, DType type);
[[nodiscard]] at::Tensor make_eye(std::int64_t size, DType type);
[[nodiscard]] at::Tensor make_arange(std::int64_t end, DType type);
/// A copy of the numbers, as a one-dimensional tensor.
[[nodiscard]] at::Tensor tensor_of(std::span<const float> values);
[[nodiscard]] at::Tensor tensor_of(std::span<const double> values);
[[nodiscard]] at::Tensor tensor_of(std::span<const std::int32_t> values);
[[nodiscard]] at::Tensor tensor_of(std::span<const std::int64_t> values);
/// A read-only view of memory that `owner` keeps alive; `data` must be aligned for the type and hold the whole shape
/// (checked). Writing through it is undefined: clone first.
[[nodiscard]] at::Tensor view_bytes(std::span<const std::byte> data, const Shape& shape, DType type, std::shared_ptr<const void> owner);
[[nodiscard]] at::Tensor concatenate(const std::vector<at::Tensor>& parts, std::int64_t dimension);
[[nodiscard]] at::Tensor stack_tensors(const std::vector<at::Tensor>& parts, std::int64_t dimension);

[[nodiscard]] DType dtype_of(const at::Tensor& tensor);
[[nodiscard]] at::Tensor to_dtype(const at::Tensor& tensor, DType type);
[[nodiscard]] Shape shape_of(const at::Tensor& tensor);
/// "[576, 1536]"
[[nodiscard]] std::string shape_text(const Shape& shape);
/// The elements of a contiguous CPU tensor; throws `kInternal` when it is not one or the type differs.
template <typename Number>
[[nodiscard]] std::span<const Number> values_of(const at::Tensor& tensor);
template <typename Number>
[[nodiscard]] std::span<Number> mutable_values_of(at::Tensor& tensor);
/// The raw bytes of a contiguous CPU tensor.
[[nodiscard]] std::span<const std::byte> bytes_of(const at::Tensor& tensor);

}  // namespace lowbit
