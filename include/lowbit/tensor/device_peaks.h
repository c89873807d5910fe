#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// What a device other than the CPU does at most, measured with LibTorch's own operators on random data.
struct DeviceRate {
  std::string arithmetic;  ///< "float32", "bfloat16", "int8"
  double operations_per_second = 0;
};
/// Bytes read and written a second by a copy of `bytes`, the best of some.
[[nodiscard]] double copy_bandwidth(at::Device device, std::int64_t bytes);
/// Of square products; an arithmetic that LibTorch has no product for on the device is left out.
[[nodiscard]] std::vector<DeviceRate> product_rates(at::Device device);

/// The most bytes that LibTorch has held of the device's memory, weights of packed products included; 0 where its
/// allocator does not count.
[[nodiscard]] std::int64_t peak_device_memory(at::Device device);

}  // namespace LOWBIT_EXPORT
