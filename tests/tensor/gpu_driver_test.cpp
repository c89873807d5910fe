#include "tensor/gpu_driver.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace lowbit {
namespace {

// Of the tests' driver, which answers as the environment says.
std::string obstacle(const std::map<std::string, std::string>& answers, int index = 0) {
  for (const auto& [name, value] : answers) ::setenv(name.c_str(), value.c_str(), 1);
  std::string text = gpu_obstacle(index, 13000, 75, LOWBIT_FAKE_DRIVER);
  for (const auto& [name, value] : answers) ::unsetenv(name.c_str());
  return text;
}

TEST(GpuDriver, SaysWhatAMachineLacks) {
  EXPECT_EQ(obstacle({}), "");
  EXPECT_EQ(obstacle({{"FAKE_DRIVER_VERSION", "12040"}}),
            "the driver is made for CUDA 12.4, and 13.0 is needed; install a newer driver");
  EXPECT_EQ(obstacle({{"FAKE_DRIVER_VERSION", "13020"}}), "");
  EXPECT_EQ(obstacle({{"FAKE_DRIVER_START", "100"}}),
            "the driver finds no GPU; look at 'nvidia-smi' and CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(obstacle({{"FAKE_DRIVER_START", "999"}}), "the driver does not start (error 999); look at 'nvidia-smi'");
  EXPECT_EQ(obstacle({{"FAKE_DRIVER_GPUS", "2"}}, 2),
            "the driver shows 2 GPUs; look at 'nvidia-smi' and CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(obstacle({{"FAKE_DRIVER_CAPABILITY", "61"}}),
            "it has compute capability 6.1, and 7.5 or later is needed; take another GPU");
  EXPECT_EQ(gpu_obstacle(0, 13000, 75, "libno_such_driver.so.1"), "this machine has no NVIDIA driver; install one");
  EXPECT_EQ(gpu_obstacle(0, 13000, 75, "libm.so.6"),
            "'libm.so.6' is no NVIDIA driver that can be asked; install one anew");
}

}  // namespace
}  // namespace lowbit
