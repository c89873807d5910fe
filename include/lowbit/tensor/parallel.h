#pragma once

#include <cstdint>
#include <functional>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Runs `body(begin, end)` over parts of 0..count-1 on LibTorch's pool, each part at least `grain` long. Nested calls run
/// serially. An exception in a part is rethrown here. Results must not depend on how the range is cut.
void parallel_for(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body);
/// Threads of the pool: by default one for each core that the process may use.
void set_thread_count(int count);
[[nodiscard]] int thread_count();
/// While alive, this thread's LibTorch calls run on one thread: for factorizations, whose bits would change with more.
class SingleThreadScope {
 public:
  SingleThreadScope();
  ~SingleThreadScope();
  SingleThreadScope(const SingleThreadScope&) = delete;
  SingleThreadScope& operator=(const SingleThreadScope&) = delete;

 private:
  int previous_;
  int previous_library_;
};

}  // namespace lowbit
