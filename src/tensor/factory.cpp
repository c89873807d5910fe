#include "lowbit/tensor/factory.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <utility>

#include "tensor/scalar_type.h"

namespace lowbit {
namespace {

template <typename Number>
at::Tensor copy_of(std::span<const Number> values) {
  const auto type = c10::CppTypeToScalarType<Number>::value;
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, type);
  if (!values.empty()) std::memcpy(tensor.mutable_data_ptr(), values.data(), values.size_bytes());
  return tensor;
}

// Bytes of a shape; throws for negative sizes and overflow.
std::uint64_t byte_count(const Shape& shape, DType type) {
  std::uint64_t bytes = static_cast<std::uint64_t>(dtype_bytes(type));
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) {
      fail(ErrorCode::kInternal, "shape {} is not a tensor's", shape_text(shape));
    }
  }
  return bytes;
}

void check_plain(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_cpu() || !tensor.is_contiguous()) {
    fail(ErrorCode::kInternal, "direct access needs a contiguous tensor in main memory");
  }
}

template <typename Number>
void check_values(const at::Tensor& tensor) {
  check_plain(tensor);
  const auto expected = c10::CppTypeToScalarType<Number>::value;
  if (tensor.scalar_type() != expected) {
    fail(ErrorCode::kInternal, "elements of type {} were asked of a tensor of {}", c10::toString(expected),
         c10::toString(tensor.scalar_type()));
  }
}

}  // namespace

at::Tensor make_empty(const Shape& shape, DType type) { return at::empty(shape, scalar_type(type)); }
at::Tensor make_zeros(const Shape& shape, DType type) { return at::zeros(shape, scalar_type(type)); }
at::Tensor make_full(const Shape& shape, double value, DType type) { return at::full(shape, value, scalar_type(type)); }
at::Tensor make_eye(std::int64_t size, DType type) { return at::eye(size, scalar_type(type)); }
at::Tensor make_arange(std::int64_t end, DType type) { return at::arange(end, scalar_type(type)); }

at::Tensor tensor_of(std::span<const float> values) { return copy_of(values); }
at::Tensor tensor_of(std::span<const double> values) { return copy_of(values); }
at::Tensor tensor_of(std::span<const std::int32_t> values) { return copy_of(values); }
at::Tensor tensor_of(std::span<const std::int64_t> values) { return copy_of(values); }

at::Tensor view_bytes(std::span<const std::byte> data, const Shape& shape, DType type,
                      std::shared_ptr<const void> owner) {
  const std::uint64_t bytes = byte_count(shape, type);
  if (bytes != data.size()) {
    fail(ErrorCode::kInternal, "a {} tensor of shape {} takes {} bytes, not {}", dtype_name(type), shape_text(shape),
         bytes, data.size());
  }
  if (reinterpret_cast<std::uintptr_t>(data.data()) % static_cast<std::uintptr_t>(dtype_bytes(type)) != 0) {
    fail(ErrorCode::kInternal, "the bytes of a {} tensor of shape {} are not aligned", dtype_name(type),
         shape_text(shape));
  }
  // LibTorch has no read-only tensors; nobody writes through this one.
  void* begin = const_cast<std::byte*>(data.data());
  return at::from_blob(
      begin, shape, [owner = std::move(owner)](void*) {}, scalar_type(type));
}

at::Tensor concatenate(const std::vector<at::Tensor>& parts, std::int64_t dimension) {
  return at::cat(parts, dimension);
}
at::Tensor stack_tensors(const std::vector<at::Tensor>& parts, std::int64_t dimension) {
  return at::stack(parts, dimension);
}

DType dtype_of(const at::Tensor& tensor) { return dtype_from(tensor.scalar_type()); }
at::Tensor to_dtype(const at::Tensor& tensor, DType type) { return tensor.to(scalar_type(type)); }
Shape shape_of(const at::Tensor& tensor) { return tensor.sizes().vec(); }
std::string shape_text(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

template <typename Number>
std::span<const Number> values_of(const at::Tensor& tensor) {
  check_values<Number>(tensor);
  return {tensor.const_data_ptr<Number>(), static_cast<std::size_t>(tensor.numel())};
}

template <typename Number>
std::span<Number> mutable_values_of(at::Tensor& tensor) {
  check_values<Number>(tensor);
  return {tensor.mutable_data_ptr<Number>(), static_cast<std::size_t>(tensor.numel())};
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  check_plain(tensor);
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

template LOWBIT_EXPORT std::span<const float> values_of<float>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const double> values_of<double>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const std::int8_t> values_of<std::int8_t>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const std::uint8_t> values_of<std::uint8_t>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const std::int16_t> values_of<std::int16_t>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const std::int32_t> values_of<std::int32_t>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const std::int64_t> values_of<std::int64_t>(const at::Tensor&);
template LOWBIT_EXPORT std::span<const bool> values_of<bool>(const at::Tensor&);
template LOWBIT_EXPORT std::span<float> mutable_values_of<float>(at::Tensor&);
template LOWBIT_EXPORT std::span<double> mutable_values_of<double>(at::Tensor&);
template LOWBIT_EXPORT std::span<std::int8_t> mutable_values_of<std::int8_t>(at::Tensor&);
template LOWBIT_EXPORT std::span<std::uint8_t> mutable_values_of<std::uint8_t>(at::Tensor&);
template LOWBIT_EXPORT std::span<std::int16_t> mutable_values_of<std::int16_t>(at::Tensor&);
template LOWBIT_EXPORT std::span<std::int32_t> mutable_values_of<std::int32_t>(at::Tensor&);
template LOWBIT_EXPORT std::span<std::int64_t> mutable_values_of<std::int64_t>(at::Tensor&);
template LOWBIT_EXPORT std::span<bool> mutable_values_of<bool>(at::Tensor&);

}  // namespace lowbit
