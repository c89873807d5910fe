#pragma once

#include <c10/core/Device.h>

#include <cstdlib>

#include "lowbit/tensor/device.h"
#include "other_device/stand_in.h"

namespace lowbit::testing {

/// The stand-in, or the device that LOWBIT_TEST_DEVICE names ("cuda"), so that the same tests prove a real one.
[[nodiscard]] inline at::Device device_under_test() {
  const char* name = std::getenv("LOWBIT_TEST_DEVICE");
  return name == nullptr ? stand_in() : compute_device(name);
}

}  // namespace lowbit::testing
