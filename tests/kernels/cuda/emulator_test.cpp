#include "emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The model of a GPU finds what it is there to find.
namespace lowbit::kernels::cuda {
namespace {

using testing::EmulatedThread;
using testing::Grid;
using testing::launch;

template <typename Kernel>
std::string failure(const Kernel& kernel, std::uint64_t seed = 1) {
  try {
    launch({{1, 1, 1}, 64, 4096}, seed, kernel);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(CudaEmulator, FindsAMissingBarrierInEveryOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto exchange = [](EmulatedThread& thread, bool barrier) {
      auto shared = thread.shared<std::int32_t>();
      shared.store(thread.index(), thread.index());
      if (barrier) thread.sync();
      EXPECT_EQ(shared.load(63 - thread.index()), 63 - thread.index());
    };
    EXPECT_EQ(failure([&](EmulatedThread& thread) { exchange(thread, true); }, seed), "");
    EXPECT_NE(failure([&](EmulatedThread& thread) { exchange(thread, false); }, seed), "");
  }
}

TEST(CudaEmulator, TakesAWarpsBarrierForItsOwnThreadsOnly) {
  const auto exchange = [](EmulatedThread& thread, int mask) {
    auto shared = thread.shared<std::int32_t>();
    shared.store(thread.index(), 1);
    thread.sync_warp();
    (void)shared.load(thread.index() ^ mask);
  };
  EXPECT_EQ(failure([&](EmulatedThread& thread) { exchange(thread, 16); }), "");
  EXPECT_NE(failure([&](EmulatedThread& thread) { exchange(thread, 32); }), "");
}

TEST(CudaEmulator, FindsAWriteBeforeAllHaveRead) {
  const auto text = failure([](EmulatedThread& thread) {
    auto shared = thread.shared<std::int32_t>();
    if (thread.index() == 0) shared.store(0, 5);
    thread.sync();
    (void)shared.load(0);
    if (thread.index() == 40) shared.store(0, 6);
  });
  EXPECT_THAT(text, ::testing::HasSubstr("without a barrier"));
}

TEST(CudaEmulator, FindsReadsOfWhatNobodyWroteAndOfWhatIsOutside) {
  EXPECT_THAT(failure([](EmulatedThread& thread) { (void)thread.shared<float>().load(7); }),
              ::testing::HasSubstr("reads what nobody wrote: word 7"));
  EXPECT_EQ(failure([](EmulatedThread& thread) { (void)thread.shared<float>().load(1024); }),
            "a thread reads word 1024 of 1024 of shared memory");
}

TEST(CudaEmulator, HoldsCopiesBackUntilTheyAreWaitedFor) {
  alignas(16) static const std::uint32_t source[4] = {1, 2, 3, 4};
  const auto copy = [](EmulatedThread& thread, bool wait) {
    auto shared = thread.shared<std::uint32_t>();
    if (thread.index() == 0) {
      shared.copy_async16(0, source, true);
      thread.commit_copies();
      if (wait) thread.wait_copies<0>();
    }
    thread.sync();
    EXPECT_EQ(shared.load(2), 3U);
  };
  EXPECT_EQ(failure([&](EmulatedThread& thread) { copy(thread, true); }), "");
  EXPECT_THAT(failure([&](EmulatedThread& thread) { copy(thread, false); }),
              ::testing::HasSubstr("while a copy is on its way"));
}

TEST(CudaEmulator, FindsABarrierThatNotAllReach) {
  EXPECT_EQ(failure([](EmulatedThread& thread) {
              if (thread.index() != 9) thread.sync();
            }),
            "every thread waits: a barrier that not all of them reach");
}

TEST(CudaEmulator, FindsAWarpThatDoesTwoThingsAtOnce) {
  EXPECT_THAT(failure([](EmulatedThread& thread) {
                if (thread.index() == 3) {
                  thread.sync_warp();
                } else {
                  (void)thread.shuffle_xor(1, 1);
                }
              }),
              ::testing::HasSubstr("different instructions"));
}

TEST(CudaEmulator, FindsLoadsThatAreNotAligned) {
  alignas(16) static const std::uint32_t source[8] = {};
  EXPECT_EQ(failure([](EmulatedThread& thread) { (void)thread.read16(source + 1); }),
            "a load of 16 bytes is not aligned");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
