#include "lowbit/tensor/parallel.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "lowbit/base/error.h"
#include "tensor/threads.h"

// LibTorch built with MKL hands on this function; others lack it.
extern "C" int MKL_Set_Num_Threads_Local(int count) __attribute__((weak));  // NOLINT(readability-identifier-naming)

namespace lowbit {
namespace {

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

}  // namespace

// LibTorch's own default is the number of physical cores of the machine, whatever the process may use.
void ensure_threads() {
  static std::once_flag once;
  std::call_once(once, [] { at::set_num_threads(usable_cores()); });
}

void parallel_for(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  ensure_threads();
  at::parallel_for(0, count, std::max<std::int64_t>(grain, 1), [&](std::int64_t begin, std::int64_t end) {
    if (omp_in_parallel() == 0) return body(begin, end);
    const SingleThreadScope scope;
    body(begin, end);
  });
}

void for_each_unit(std::int64_t count, double work, const std::function<void(std::int64_t)>& unit) {
  // About 40 microseconds of one core, ten times what waking another one costs.
  constexpr double kWorkPerThread = 2e6;
  const auto worthwhile = static_cast<std::int64_t>(std::min(work / kWorkPerThread, 1e6));
  const std::int64_t workers =
      std::min({count, static_cast<std::int64_t>(thread_count()), std::max<std::int64_t>(worthwhile, 1)});
  std::atomic<std::int64_t> next{0};
  parallel_for(workers, 1, [&](std::int64_t, std::int64_t) {
    const SingleThreadScope scope;
    for (std::int64_t i = next++; i < count; i = next++) unit(i);
  });
}

void set_thread_count(int count) {
  if (count < 1) fail(ErrorCode::kConfig, "threads: {} is not a number of threads, expected at least 1", count);
  ensure_threads();
  at::set_num_threads(count);
}

int thread_count() {
  ensure_threads();
  return at::get_num_threads();
}

// Both settings belong to this thread (within a parallel region, to its task), so that the pool keeps its size. With
// them LibTorch starts no threads, and its libraries choose no blocking by the number of threads.
SingleThreadScope::SingleThreadScope() : previous_(thread_count()), previous_library_(0) {
  omp_set_num_threads(1);
  if (MKL_Set_Num_Threads_Local != nullptr) previous_library_ = MKL_Set_Num_Threads_Local(1);
}

SingleThreadScope::~SingleThreadScope() {
  if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(previous_library_);
  omp_set_num_threads(previous_);
}

}  // namespace lowbit
