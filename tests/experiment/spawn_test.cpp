#include "experiment/spawn.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "lowbit/base/resident.h"

namespace lowbit {
namespace {

constexpr std::int64_t kMuch = std::int64_t{1} << 29;
constexpr const char* kSpawned = "LOWBIT_SPAWNED_BY_TEST";

// Spawns itself.
TEST(SpawnedProcess, HasAPeakOfItsOwn) {
  if (std::getenv(kSpawned) != nullptr) {
    EXPECT_LT(peak_resident_bytes(), kMuch);
    return;
  }
  EXPECT_GE(std::vector<char>(kMuch, '1').size(), 1U);
  EXPECT_GE(peak_resident_bytes(), kMuch);
  ::setenv(kSpawned, "1", 1);
  const ProcessEnd end =
      run_process("/proc/self/exe", {"--gtest_filter=SpawnedProcess.HasAPeakOfItsOwn"}, Cancellation());
  ::unsetenv(kSpawned);
  EXPECT_EQ(end.exit_code, 0);
}

}  // namespace
}  // namespace lowbit
