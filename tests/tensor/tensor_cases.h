#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit::testing {

/// Standard normal numbers, the same for the same name.
inline at::Tensor random_tensor(const Shape& shape, DType type, std::string_view name) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  const Random random(7, name);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return to_dtype(tensor_of(std::span<const float>(values)).view(shape), type);
}

/// The pool's size while alive.
class ThreadCount {
 public:
  explicit ThreadCount(int count) : previous_(thread_count()) { set_thread_count(count); }
  ~ThreadCount() { set_thread_count(previous_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int previous_;
};

}  // namespace lowbit::testing
