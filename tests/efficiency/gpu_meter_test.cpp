#include "efficiency/gpu_meter.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace lowbit {
namespace {

// Of the tests' driver and management library, which show CUDA's GPU 1 at 0000:02:00.0.
GpuMeter meter(int index = 1) { return GpuMeter(index, LOWBIT_FAKE_DRIVER, LOWBIT_FAKE_DRIVER); }

TEST(GpuMeter, ReadsTheGpuThatCudaNumbers) {
  ::setenv("FAKE_DRIVER_MILLIJOULES", "2500", 1);
  const GpuMeter found = meter();
  EXPECT_EQ(found.obstacle(), "");
  EXPECT_EQ(found.name(), "a GPU of the tests");
  EXPECT_EQ(found.joules(), 2.5);
  ::unsetenv("FAKE_DRIVER_MILLIJOULES");
}

TEST(GpuMeter, SaysWhyItReadsNothing) {
  const std::string driver = LOWBIT_FAKE_DRIVER;
  EXPECT_EQ(GpuMeter(1, "libno_such_driver.so", LOWBIT_FAKE_DRIVER).obstacle(),
            "the driver ('libno_such_driver.so') does not show GPU 1");
  EXPECT_EQ(GpuMeter(1, LOWBIT_FAKE_DRIVER, "libno_such_library.so").obstacle(),
            "'libno_such_library.so' cannot be loaded");
  EXPECT_EQ(GpuMeter(1, LOWBIT_FAKE_DRIVER, "libm.so.6").obstacle(),
            "'libm.so.6' is no management library of NVIDIA's");
  EXPECT_EQ(meter(0).obstacle(), "'" + driver + "' does not show the GPU at 0000:01:00.0");
  ::setenv("FAKE_DRIVER_MILLIJOULES", "-1", 1);
  EXPECT_EQ(meter().obstacle(), "'a GPU of the tests' counts no energy");
  ::unsetenv("FAKE_DRIVER_MILLIJOULES");
}

TEST(GpuNames, AreThoseThatCudaShows) {
  ::setenv("FAKE_DRIVER_GPUS", "2", 1);
  EXPECT_EQ(gpu_names(LOWBIT_FAKE_DRIVER, LOWBIT_FAKE_DRIVER), "unknown, a GPU of the tests");
  EXPECT_EQ(gpu_names(LOWBIT_FAKE_DRIVER, "libno_such_library.so"), "unknown, unknown");
  ::setenv("FAKE_DRIVER_START", "100", 1);  // there is no device
  EXPECT_EQ(gpu_names(LOWBIT_FAKE_DRIVER, LOWBIT_FAKE_DRIVER), "");
  ::unsetenv("FAKE_DRIVER_START");
  ::unsetenv("FAKE_DRIVER_GPUS");
  EXPECT_EQ(gpu_names("libno_such_driver.so", LOWBIT_FAKE_DRIVER), "");
}

}  // namespace
}  // namespace lowbit
