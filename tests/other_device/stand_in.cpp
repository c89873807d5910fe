#include "other_device/stand_in.h"

#include <ATen/EmptyTensor.h>
#include <ATen/InferSize.h>
#include <ATen/TensorUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace lowbit::testing {
namespace {

// Such an address is no processor's: reading it ends the process.
constexpr std::uintptr_t kForbidden = std::uintptr_t{1} << 62;
constexpr std::align_val_t kAlignment{256};
constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

std::atomic<int>& reachable() {
  static std::atomic<int> users = 0;
  return users;
}

// Of the device.
struct Use {
  std::atomic<std::int64_t> bytes = 0;
  std::atomic<std::int64_t> most = 0;
};
Use& use() {
  static Use instance;
  return instance;
}

class Memory : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free, stand_in()};
    auto* own = static_cast<Block*>(::operator new(sizeof(Block) + bytes, kAlignment));
    own->bytes = static_cast<std::int64_t>(bytes);
    use().most = std::max<std::int64_t>(use().most, use().bytes += own->bytes);
    void* first = own + 1;
    std::memset(first, 0xFF, bytes);  // NaN for who reads what nobody wrote
    return {reachable() > 0 ? first : with(first, kForbidden), own, &free, stand_in()};
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(with(to, 0), with(const_cast<void*>(from), 0), bytes);
  }
  static void* with(void* address, std::uintptr_t mark) {
    return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(address) & ~kForbidden) | mark);
  }

 private:
  // In front of what is given out.
  struct alignas(static_cast<std::size_t>(kAlignment)) Block {
    std::int64_t bytes;
  };
  static void free(void* own) {
    if (own == nullptr) return;
    use().bytes -= static_cast<Block*>(own)->bytes;
    ::operator delete(own, kAlignment);
  }
};

c10::Allocator* memory() {
  static Memory instance;
  return &instance;
}

at::Tensor over(c10::Storage storage, c10::DispatchKeySet keys, const at::Tensor& like, c10::IntArrayRef size,
                c10::IntArrayRef stride, std::int64_t offset) {
  at::Tensor tensor =
      at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, std::move(storage), keys, like.dtype());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
  return tensor;
}

// The same numbers as a tensor of the CPU.
at::Tensor in_main_memory(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  const c10::Storage& storage = tensor.storage();
  void* own = Memory::with(const_cast<void*>(storage.data()), 0);
  c10::Storage same(c10::Storage::use_byte_size_t(), storage.nbytes(), c10::DataPtr(own, c10::Device(at::kCPU)));
  return over(std::move(same), c10::DispatchKeySet(c10::DispatchKey::CPU), tensor, tensor.sizes(), tensor.strides(),
              tensor.storage_offset());
}

at::Tensor as_strided(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride,
                      std::optional<std::int64_t> offset) {
  return over(self.storage(), self.key_set(), self, size, stride, offset.value_or(self.storage_offset()));
}
at::Tensor view(const at::Tensor& self, c10::IntArrayRef size) {
  const at::DimVector whole = at::infer_size_dv(size, self.numel());
  const auto stride = at::detail::computeStride(self.sizes(), self.strides(), whole);
  TORCH_CHECK(stride.has_value(), "a view of ", self.sizes(), " cannot be ", size);
  return as_strided(self, whole, *stride, std::nullopt);
}
at::Tensor reshape_alias(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return as_strided(self, size, stride, std::nullopt);
}

at::Tensor make(c10::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<c10::Layout>,
                std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(size, memory(), kKeys, c10::dtype_or_default(type), format);
}
at::Tensor make_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> type,
                        std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, memory(), kKeys, c10::dtype_or_default(type));
}
at::Tensor copy(const at::Tensor& from, const at::Tensor& to, bool) {
  in_main_memory(to).copy_(in_main_memory(from));
  return to;
}
at::Tensor copy_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy(from, to, false);
}
const at::Tensor& resize(const at::Tensor& tensor, c10::IntArrayRef size, std::optional<c10::MemoryFormat>) {
  const at::Tensor other = at::detail::empty_generic(size, memory(), kKeys, tensor.scalar_type(), std::nullopt);
  if (tensor.sizes() != size) {
    tensor.unsafeGetTensorImpl()->set_storage_keep_dtype(other.storage());
    tensor.unsafeGetTensorImpl()->set_sizes_and_strides(other.sizes(), other.strides());
  }
  return tensor;
}

// The CPU has no product of bfloat16 that is rounded to float32.
at::Tensor& multiply_wide(const at::Tensor& left, const at::Tensor& right, at::ScalarType type, at::Tensor& out) {
  const auto widened = [&](const at::Tensor& tensor) { return in_main_memory(tensor).to(type); };
  in_main_memory(out).copy_(widened(left).mm(widened(right)));
  return out;
}

struct Calls {
  std::mutex mutex;
  std::map<std::string, int> of;
};
Calls& calls() {
  static Calls instance;
  return instance;
}

void compute_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  {
    const std::lock_guard lock(calls().mutex);
    ++calls().of[c10::toString(op.operator_name())];
  }
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_cpu>());
}
TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &make);
  library.impl("empty_strided", &make_strided);
  library.impl("as_strided", &as_strided);
  library.impl("view", &view);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("resize_", &resize);
  library.impl("mm.dtype_out", &multiply_wide);
  library.impl("_copy_from", &copy);
  library.impl("_copy_from_and_resize", &copy_and_resize);
}

struct Guard final : c10::impl::NoOpDeviceGuardImpl<at::kPrivateUse1> {
  c10::Device exchangeDevice(c10::Device) const override { return stand_in(); }
  c10::Device getDevice() const override { return stand_in(); }
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, stand_in()); }
  void* getStreamNativeHandle(const c10::Stream) const override { return nullptr; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)
[[maybe_unused]] const bool kRegistered = (c10::SetAllocator(at::kPrivateUse1, memory()), true);

}  // namespace

int calls_of(const std::string& operation) {
  const std::lock_guard lock(calls().mutex);
  return calls().of[operation];
}

PeakBytes::PeakBytes() { use().most = use().bytes.load(); }
std::int64_t PeakBytes::most() const { return use().most; }

ReachableMemory::ReachableMemory() { ++reachable(); }
ReachableMemory::~ReachableMemory() { --reachable(); }

}  // namespace lowbit::testing
