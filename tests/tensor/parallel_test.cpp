#include "lowbit/tensor/parallel.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "lowbit/base/error.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::ThreadCount;

TEST(Parallel, VisitsEveryIndexOnce) {
  std::vector<std::atomic<int>> visits(1003);
  parallel_for(1003, 7, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
  });
  for (const auto& count : visits) EXPECT_EQ(count.load(), 1);
}

// Each part waits until both have begun: only two threads that work at the same time get there.
TEST(Parallel, KeepsTwoThreadsAtWorkAtOnce) {
  const ThreadCount two(2);
  std::atomic<int> begun{0};
  std::atomic<bool> met{true};
  parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    ++begun;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (begun.load() < 2) {
      if (std::chrono::steady_clock::now() > deadline) {
        met = false;
        return;
      }
      std::this_thread::yield();
    }
  });
  EXPECT_TRUE(met.load());
}

TEST(Parallel, MapsOneOpenMpRuntimeOnly) {
  parallel_for(2, 1, [](std::int64_t, std::int64_t) {});
  std::ifstream maps("/proc/self/maps");
  std::set<std::string> runtimes;
  for (std::string line; std::getline(maps, line);) {
    const std::size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    if (path.find("libgomp") != std::string::npos || path.find("libiomp") != std::string::npos) runtimes.insert(path);
  }
  EXPECT_EQ(runtimes.size(), 1U);
}

TEST(Parallel, RunsNestedCallsSerially) {
  const ThreadCount two(2);
  parallel_for(2, 1, [](std::int64_t, std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    parallel_for(64, 1, [&](std::int64_t, std::int64_t) { EXPECT_EQ(std::this_thread::get_id(), outer); });
  });
}

TEST(Parallel, RethrowsAnExceptionOfAPart) {
  const auto failing = [](std::int64_t, std::int64_t) { fail(ErrorCode::kData, "part is wrong"); };
  EXPECT_THROW(parallel_for(8, 1, failing), Error);
}

TEST(Parallel, UsesTheCoresTheProcessMayUse) {
  cpu_set_t cores;
  ASSERT_EQ(sched_getaffinity(0, sizeof cores, &cores), 0);
  EXPECT_EQ(thread_count(), CPU_COUNT(&cores));
}

TEST(Parallel, RefusesZeroThreads) {
  try {
    set_thread_count(0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    EXPECT_STREQ(error.what(), "threads: 0 is not a number of threads, expected at least 1");
  }
}

TEST(SingleThreadScope, GivesThePoolBackItsSize) {
  const ThreadCount two(2);
  {
    const SingleThreadScope scope;
    EXPECT_EQ(thread_count(), 1);
  }
  EXPECT_EQ(thread_count(), 2);
}

TEST(SingleThreadScope, LeavesThePoolAloneInsideAPart) {
  const ThreadCount two(2);
  parallel_for(2, 1, [](std::int64_t, std::int64_t) { const SingleThreadScope scope; });
  EXPECT_EQ(thread_count(), 2);
}

}  // namespace
}  // namespace lowbit
