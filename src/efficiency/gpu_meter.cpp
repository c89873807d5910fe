#include "efficiency/gpu_meter.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

namespace lowbit {
namespace {

template <typename Function>
Function* function(void* library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

using Text = std::array<char, 96>;

// "0000:01:00.0"; empty where the driver does not tell.
std::string bus_place(void* driver, int index) {
  const auto start = function<int(unsigned)>(driver, "cuInit");
  const auto place = function<int(char*, int, int)>(driver, "cuDeviceGetPCIBusId");
  Text text{};
  if (start == nullptr || place == nullptr || start(0) != 0 ||
      place(text.data(), static_cast<int>(text.size()) - 1, index) != 0) {
    return "";
  }
  return text.data();
}

}  // namespace

GpuMeter::GpuMeter(int index, const char* driver, const char* management) {
  obstacle_ = find(index, driver, management);
}

std::string GpuMeter::find(int index, const char* driver, const char* management) {
  void* cuda = ::dlopen(driver, RTLD_NOW | RTLD_LOCAL);
  const std::string place = cuda == nullptr ? "" : bus_place(cuda, index);
  if (place.empty()) return fmt::format("the driver ('{}') does not show GPU {}", driver, index);
  void* library = ::dlopen(management, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fmt::format("'{}' cannot be loaded", management);
  const auto start = function<int()>(library, "nvmlInit_v2");
  const auto open = function<int(const char*, void**)>(library, "nvmlDeviceGetHandleByPciBusId_v2");
  const auto name = function<int(void*, char*, unsigned)>(library, "nvmlDeviceGetName");
  energy_ = function<int(void*, unsigned long long*)>(library, "nvmlDeviceGetTotalEnergyConsumption");
  if (start == nullptr || open == nullptr || name == nullptr || energy_ == nullptr) {
    return fmt::format("'{}' is no management library of NVIDIA's", management);
  }
  Text text{};
  if (start() != 0 || open(place.c_str(), &device_) != 0 ||
      name(device_, text.data(), static_cast<unsigned>(text.size()) - 1) != 0) {
    return fmt::format("'{}' does not show the GPU at {}", management, place);
  }
  name_ = text.data();
  unsigned long long millijoules = 0;
  if (energy_(device_, &millijoules) != 0) return fmt::format("'{}' counts no energy", name_);
  return "";
}

double GpuMeter::joules() const {
  unsigned long long millijoules = 0;
  (void)energy_(device_, &millijoules);
  return static_cast<double>(millijoules) * 1e-3;
}

std::string gpu_names(const char* driver, const char* management) {
  void* cuda = ::dlopen(driver, RTLD_NOW | RTLD_LOCAL);
  if (cuda == nullptr) return "";
  const auto start = function<int(unsigned)>(cuda, "cuInit");
  const auto counted = function<int(int*)>(cuda, "cuDeviceGetCount");
  int count = 0;
  if (start == nullptr || counted == nullptr || start(0) != 0 || counted(&count) != 0) return "";
  std::string names;
  for (int index = 0; index < count; ++index) {
    const std::string name = GpuMeter(index, driver, management).name();
    if (index > 0) names += ", ";
    names += name.empty() ? "unknown" : name;
  }
  return names;
}

}  // namespace lowbit
