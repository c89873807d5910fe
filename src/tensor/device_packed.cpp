#include "lowbit/tensor/device_packed.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>
#include <limits>
#include <utility>

#include "kernels/cuda/route.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/environment.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "tensor/device_weight.h"
#include "tensor/expanded_product.h"
#include "tensor/number_kind.h"
#include "tensor/scalar_type.h"

namespace lowbit {
namespace {

namespace cuda = kernels::cuda;

constexpr const char* kFileVariable = "LOWBIT_CUDA_KERNELS";

at::Tensor make_bytes(std::int64_t count, at::Device device) {
  return at::empty({count}, at::TensorOptions(at::kByte).device(device));
}

cuda::DeviceArithmetic kernels_arithmetic(DeviceArithmetic arithmetic) {
  switch (arithmetic) {
    case DeviceArithmetic::kInt8: return cuda::DeviceArithmetic::kInt8;
    case DeviceArithmetic::kInt16: return cuda::DeviceArithmetic::kInt16;
    case DeviceArithmetic::kBFloat16:
    case DeviceArithmetic::kFloat8: break;
  }
  return cuda::DeviceArithmetic::kHalf;
}

// Streams of older LibTorchs do not tell it.
template <typename Stream>
void* handle_of(const Stream& stream) {
  if constexpr (requires { stream.native_handle(); }) {
    return stream.native_handle();
  } else {
    fail(ErrorCode::kUnsupported,
         "LibTorch {} does not say what its streams are; packed products on a GPU need a newer one", torch_version());
  }
}

bool is_number(DType type) { return type == DType::kFloat32 || type == DType::kBFloat16; }

}  // namespace

bool kernels_named() {
  const char* named = std::getenv(kFileVariable);
  return named != nullptr && *named != '\0';
}

cuda::Library open_kernels() {
  return kernels_named() ? cuda::Library::open(std::getenv(kFileVariable)) : cuda::Library::open();
}

int index_of(at::Device device) { return device.has_index() ? device.index() : 0; }

void* current_stream(at::Device device) {
  return handle_of(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

std::string_view arithmetic_name(DeviceArithmetic arithmetic) {
  switch (arithmetic) {
    case DeviceArithmetic::kInt8: return kernels::arithmetic_name(kernels::Arithmetic::kInt8);
    case DeviceArithmetic::kInt16: return kernels::arithmetic_name(kernels::Arithmetic::kInt16);
    case DeviceArithmetic::kFloat8: return "float8";
    case DeviceArithmetic::kBFloat16: break;
  }
  return "bfloat16";
}

bool is_packed_device(at::Device device) { return device.is_cpu() || device.is_cuda() || device.is_privateuseone(); }

void require_packed_products(at::Device device) {
  if (device.is_cpu()) return;
  (void)open_kernels().require_device(index_of(device));
}

DeviceWeight::State::State(const cuda::Packed& packed, at::Device device)
    : product(open_kernels(), index_of(device), packed), memory(make_bytes(bytes_of(packed), device)) {
  const at::Tensor bytes =
      at::from_blob(const_cast<std::byte*>(packed.bytes.data()), {bytes_of(packed)}, at::TensorOptions(at::kByte));
  memory.copy_(bytes);
  check_place(memory);
}

std::int64_t DeviceWeight::State::bytes_of(const cuda::Packed& packed) {
  return static_cast<std::int64_t>(packed.bytes.size());
}

void DeviceWeight::State::check_place(const at::Tensor& tensor) {
  if (reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 256 == 0) return;
  fail(ErrorCode::kInternal, "memory of '{}' does not begin on 256 bytes", tensor.device().str());
}

void DeviceWeight::State::run(cuda::Route route, cuda::DeviceArithmetic arithmetic, const at::Tensor& x,
                              const at::Tensor& bias, at::Tensor& output) const {
  const auto tokens = static_cast<std::int32_t>(x.size(0));
  at::Tensor workspace = make_bytes(product.workspace_bytes(route, arithmetic, tokens), memory.device());
  check_place(workspace);
  product.multiply(route, arithmetic,
                   {bytes(), x.const_data_ptr(), output.mutable_data_ptr(), kind_of(x.scalar_type()),
                    kind_of(output.scalar_type()), bias.defined() ? bias.const_data_ptr<float>() : nullptr, tokens,
                    static_cast<std::byte*>(workspace.mutable_data_ptr()), current_stream(memory.device())});
}

DeviceWeight::DeviceWeight(const kernels::PackedWeight& weight, at::Device device)
    : state_(std::make_unique<State>(cuda::pack(weight, pool_executor()), device)) {}
DeviceWeight::~DeviceWeight() = default;
DeviceWeight::DeviceWeight(DeviceWeight&&) noexcept = default;
DeviceWeight& DeviceWeight::operator=(DeviceWeight&&) noexcept = default;

std::int64_t DeviceWeight::rows() const { return state_->product.layout().shape.rows; }
std::int64_t DeviceWeight::columns() const { return state_->product.layout().shape.columns; }
std::int64_t DeviceWeight::bytes() const { return state_->memory.numel(); }
at::Device DeviceWeight::device() const { return state_->memory.device(); }

at::Tensor DeviceWeight::multiply(const at::Tensor& x, const at::Tensor& bias, DeviceArithmetic arithmetic,
                                  DType output_type, DeviceRoutes routes) const {
  const bool fits = x.dim() >= 1 && x.size(-1) == columns() && x.device() == device() && is_number(dtype_of(x)) &&
                    is_number(output_type) &&
                    (arithmetic != DeviceArithmetic::kBFloat16 || x.scalar_type() == at::kBFloat16);
  if (!fits || x.numel() / columns() > std::numeric_limits<std::int32_t>::max()) {
    fail(ErrorCode::kInternal, "packed product on '{}': the input is {} of {} on '{}', expected [..., {}] for '{}'",
         device().str(), shape_text(shape_of(x)), c10::toString(x.scalar_type()), x.device().str(), columns(),
         arithmetic_name(arithmetic));
  }
  if (arithmetic == DeviceArithmetic::kFloat8) return multiply_float8(x, bias, output_type, routes);
  Shape shape = shape_of(x);
  shape.back() = rows();
  at::Tensor output = at::empty(shape, x.options().dtype(scalar_type(output_type)));
  if (output.numel() == 0) return output;
  const at::Tensor input = x.contiguous().view({-1, columns()});
  at::Tensor flat = output.view({-1, rows()});
  const cuda::DeviceArithmetic chosen = kernels_arithmetic(arithmetic);
  const std::vector<cuda::RouteStart> starts = state_->product.routes(chosen);
  const cuda::Route route = cuda::route_for(starts, routes == DeviceRoutes::kOne ? 1 : input.size(0));
  if (route == cuda::Route::kExpandedHalves) {
    ExpandedProduct(state_->product, state_->bytes(), input, current_stream(device())).multiply_halves(bias, flat);
    return output;
  }
  const at::Tensor offsets = bias.defined() ? bias.to(device(), at::kFloat).contiguous() : bias;
  if (route == cuda::Route::kExpandedBytes) {
    ExpandedProduct(state_->product, state_->bytes(), input, current_stream(device())).multiply_bytes(offsets, flat);
    return output;
  }
  state_->run(route, chosen, input, offsets, flat);
  return output;
}

// Every E4M3 number is one of bfloat16 too, so that products of the codes are exact.
at::Tensor DeviceWeight::multiply_float8(const at::Tensor& x, const at::Tensor& bias, DType output_type,
                                         DeviceRoutes routes) const {
  const at::Tensor input = x.contiguous().view({-1, columns()});
  at::Tensor numbers = at::empty(input.sizes(), input.options().dtype(at::kBFloat16));
  at::Tensor scales = at::empty({input.size(0), 1}, input.options().dtype(at::kFloat));
  state_->product.round_float8({input.const_data_ptr(), kind_of(input.scalar_type()),
                                static_cast<std::int32_t>(input.size(0)),
                                static_cast<std::uint16_t*>(numbers.mutable_data_ptr()),
                                scales.mutable_data_ptr<float>(), current_stream(device())});
  at::Tensor y = multiply(numbers, {}, DeviceArithmetic::kBFloat16, DType::kFloat32, routes).mul(scales);
  if (bias.defined()) y = y.add(bias.to(device(), at::kFloat));
  Shape shape = shape_of(x);
  shape.back() = rows();
  return y.to(scalar_type(output_type)).view(shape);
}

kernels::UnpackedWeight DeviceWeight::unpack() const {
  cuda::Packed packed = state_->product.layout();
  const at::Tensor here = state_->memory.cpu();
  const auto bytes = bytes_of(here);
  packed.bytes.assign(bytes.begin(), bytes.end());
  return cuda::unpack(packed);
}

std::vector<DeviceRoute> DeviceWeight::routes(DeviceArithmetic arithmetic) const {
  const cuda::DeviceArithmetic chosen = kernels_arithmetic(arithmetic);
  std::vector<DeviceRoute> result;
  for (const cuda::RouteStart& start : state_->product.routes(chosen)) {
    result.push_back({cuda::route_name(start.route, chosen), start.tokens,
                      start.route == cuda::Route::kExpandedHalves || start.route == cuda::Route::kHopperRounded});
  }
  return result;
}

std::string DeviceWeight::kernel_names(DeviceArithmetic arithmetic) const {
  const cuda::DeviceArithmetic chosen = kernels_arithmetic(arithmetic);
  return cuda::routes_text(state_->product.routes(chosen), chosen);
}

std::string DeviceWeight::kernel_name(DeviceArithmetic arithmetic, std::int64_t tokens) const {
  const cuda::DeviceArithmetic chosen = kernels_arithmetic(arithmetic);
  return "cuda: " + cuda::route_name(cuda::route_for(state_->product.routes(chosen), tokens), chosen);
}

}  // namespace lowbit
