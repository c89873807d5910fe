#include "lowbit/tensor/parallel.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "lowbit/base/error.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

// Inside a part, LibTorch must neither start threads nor choose a blocking by the number of threads. The setting
// belongs to the OpenMP task; the pool's own is untouched.
class OneThreadInPart {
 public:
  OneThreadInPart() : inside_(omp_in_parallel() != 0), previous_(omp_get_max_threads()) {
    if (inside_) omp_set_num_threads(1);
  }
  ~OneThreadInPart() {
    if (inside_) omp_set_num_threads(previous_);
  }
  OneThreadInPart(const OneThreadInPart&) = delete;
  OneThreadInPart& operator=(const OneThreadInPart&) = delete;

 private:
  bool inside_;
  int previous_;
};

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
    const OneThreadInPart scope;
    body(begin, end);
  });
}

void for_each_unit(std::int64_t count, const std::function<void(std::int64_t)>& unit) {
  std::atomic<std::int64_t> next{0};
  const std::int64_t workers = std::min<std::int64_t>(count, thread_count());
  parallel_for(workers, 1, [&](std::int64_t, std::int64_t) {
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

SingleThreadScope::SingleThreadScope() : previous_(0) {
  // A part of parallel_for is on one thread already, and the pool's size is not a part's to change.
  if (at::in_parallel_region()) return;
  previous_ = thread_count();
  at::set_num_threads(1);
}

SingleThreadScope::~SingleThreadScope() {
  if (previous_ > 0) at::set_num_threads(previous_);
}

}  // namespace lowbit
