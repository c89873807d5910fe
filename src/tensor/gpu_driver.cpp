#include "tensor/gpu_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace lowbit {
namespace {

// The driver's functions and numbers, which have been the same since its first version.
constexpr int kSuccess = 0;
constexpr int kNoDevice = 100;
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;

template <typename Function>
Function* function(void* library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

struct Driver {
  explicit Driver(void* library)
      : version(function<int(int*)>(library, "cuDriverGetVersion")),
        start(function<int(unsigned)>(library, "cuInit")),
        count(function<int(int*)>(library, "cuDeviceGetCount")),
        attribute(function<int(int*, int, int)>(library, "cuDeviceGetAttribute")) {}
  [[nodiscard]] bool whole() const {
    return version != nullptr && start != nullptr && count != nullptr && attribute != nullptr;
  }
  int (*version)(int*);
  int (*start)(unsigned);
  int (*count)(int*);
  int (*attribute)(int*, int, int);
};

std::string version_text(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

std::string device_obstacle(const Driver& driver, int index, int least) {
  int count = 0;
  (void)driver.count(&count);
  if (index >= count) {
    return fmt::format("the driver shows {} GPUs; look at 'nvidia-smi' and CUDA_VISIBLE_DEVICES", count);
  }
  int major = 0;
  int minor = 0;
  const bool known = driver.attribute(&major, kCapabilityMajor, index) == kSuccess &&
                     driver.attribute(&minor, kCapabilityMinor, index) == kSuccess;
  if (known && 10 * major + minor < least) {
    return fmt::format("it has compute capability {}.{}, and {}.{} or later is needed; take another GPU", major, minor,
                       least / 10, least % 10);
  }
  return "";
}

}  // namespace

std::string gpu_obstacle(int index, int runtime, int least, const char* library) {
  void* handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return "this machine has no NVIDIA driver; install one";
  const Driver driver(handle);
  int version = 0;
  if (!driver.whole() || driver.version(&version) != kSuccess) {
    return fmt::format("'{}' is no NVIDIA driver that can be asked; install one anew", library);
  }
  // Versions of one major number understand each other.
  if (version / 1000 < runtime / 1000) {
    return fmt::format("the driver is made for CUDA {}, and {} is needed; install a newer driver",
                       version_text(version), version_text(runtime));
  }
  const int status = driver.start(0);
  if (status == kNoDevice) return "the driver finds no GPU; look at 'nvidia-smi' and CUDA_VISIBLE_DEVICES";
  if (status != kSuccess) return fmt::format("the driver does not start (error {}); look at 'nvidia-smi'", status);
  return device_obstacle(driver, index, least);
}

}  // namespace lowbit
