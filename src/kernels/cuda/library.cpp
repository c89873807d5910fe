#include "kernels/cuda/library.h"

#include <dlfcn.h>

#include "lowbit/base/error.h"

namespace lowbit::kernels::cuda {

namespace {

std::string version(std::int32_t number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

[[noreturn]] void fail_on(const Report& report, const std::string& action) {
  constexpr auto kCode = ErrorCode::kDevice;
  switch (report.failure) {
    case Failure::kNoDriver:
      fail(kCode, "device 'cuda' was asked for, and this machine has no NVIDIA driver; install one, or use 'cpu'");
    case Failure::kOldDriver:
      fail(kCode,
           "device 'cuda' was asked for, and the driver is made for CUDA {} while lowbit's kernels were built with {}; "
           "install a newer driver, or use 'cpu'",
           version(report.driver), version(report.runtime));
    case Failure::kNoDevice:
      fail(kCode,
           "device 'cuda' was asked for, and the driver finds no GPU that it may use; look at 'nvidia-smi' and "
           "CUDA_VISIBLE_DEVICES, or use 'cpu'");
    case Failure::kMemory:
      fail(kCode,
           "the GPU cannot give {} bytes more ({} are free) while {}; end other programs on it, take a smaller batch, "
           "or "
           "use 'cpu'",
           report.bytes, report.free, action);
    case Failure::kArgument: fail(ErrorCode::kInternal, "CUDA kernels, {}: {}", action, report.text);
    case Failure::kNone:
    case Failure::kCapability:
    case Failure::kOther: break;
  }
  fail(kCode, "CUDA failed while {}: {}", action, report.text);
}

}  // namespace

Library Library::open(const std::string& path) {
  // Never closed: CUDA's runtime does not survive it.
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    fail(ErrorCode::kDevice,
         "device 'cuda' was asked for, and lowbit's CUDA kernels cannot be loaded ({}); build lowbit where CMake finds "
         "nvcc, or use 'cpu'",
         reason != nullptr ? reason : "no reason given");
  }
  const auto table = reinterpret_cast<TableFunction>(::dlsym(handle, kTableSymbol));
  if (table == nullptr) {
    fail(ErrorCode::kDevice, "'{}' is no library of lowbit's CUDA kernels: it has no '{}'", path, kTableSymbol);
  }
  return {table(), path};
}

Library::Library(const Table* table, const std::string& path) : table_(table) {
  if (table->interface == kInterface) return;
  fail(ErrorCode::kDevice,
       "the CUDA kernels in '{}' have interface {}, and this lowbit expects {}; build both from one source", path,
       table->interface, kInterface);
}

int Library::device_count() const {
  std::int32_t count = 0;
  call("counting GPUs", table_->count_devices, &count);
  return count;
}

Device Library::require_device(int index) const {
  const int count = device_count();
  if (index < 0 || index >= count) {
    fail(ErrorCode::kDevice, "device 'cuda:{}' was asked for, and this machine has {} usable GPUs; use 'cpu' or {}",
         index, count, count == 1 ? std::string("'cuda:0'") : fmt::format("'cuda:0' to 'cuda:{}'", count - 1));
  }
  Device device{};
  Report report{};
  const bool known = table_->describe_device(index, &device, &report);
  if (!known && report.failure == Failure::kCapability) {
    fail(ErrorCode::kDevice,
         "device 'cuda:{}' ({}) has compute capability {}.{}, and lowbit's kernels need 8.0 or later; use 'cpu'", index,
         device.name, device.major, device.minor);
  }
  check(known, report, fmt::format("asking for device 'cuda:{}'", index));
  return device;
}

void Library::check(bool succeeded, const Report& report, const std::string& action) {
  if (!succeeded) fail_on(report, action);
}

DeviceMemory::DeviceMemory(const Library& library, std::uint64_t bytes) : table_(library.table()), bytes_(bytes) {
  Library::call("taking memory", table_.allocate, bytes, &data_);
}

DeviceMemory::~DeviceMemory() {
  Report report{};
  (void)table_.release(data_, &report);  // a device that failed has said so before
}

void DeviceMemory::copy_from_host(const void* from) const {
  Library::call("copying to the GPU", table_.copy_to_device, data_, from, bytes_);
}

void DeviceMemory::copy_to_host(void* to) const {
  Library::call("copying from the GPU", table_.copy_to_host, to, data_, bytes_);
}

}  // namespace lowbit::kernels::cuda
