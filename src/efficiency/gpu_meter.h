#pragma once

#include <string>

namespace lowbit {

/// What NVIDIA's management library (NVML) counts of one GPU. It comes with the driver and is loaded by its name.
class GpuMeter {
 public:
  /// `index` is CUDA's number of the GPU, which CUDA_VISIBLE_DEVICES changes and NVML's does not: it is found by its
  /// place on the bus.
  explicit GpuMeter(int index, const char* driver = "libcuda.so.1", const char* management = "libnvidia-ml.so.1");
  /// Why nothing can be read; empty when it can.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Joules since the driver was loaded, all that ran on the GPU included.
  [[nodiscard]] double joules() const;

 private:
  std::string find(int index, const char* driver, const char* management);
  int (*energy_)(void*, unsigned long long*) = nullptr;  // of the library
  void* device_ = nullptr;
  std::string name_;
  std::string obstacle_;
};

/// Of all GPUs that CUDA shows, in its order: "NVIDIA H100 80GB HBM3, unknown"; empty where there is none.
[[nodiscard]] std::string gpu_names(const char* driver, const char* management);

}  // namespace lowbit
