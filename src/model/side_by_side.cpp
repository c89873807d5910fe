#include "model/side_by_side.h"

#include <algorithm>
#include <atomic>

#include "lowbit/tensor/parallel.h"

namespace lowbit {

std::int64_t blocks_side_by_side(std::int64_t block_parameters, std::int64_t threads) {
  constexpr std::int64_t kParameters = std::int64_t{1} << 25;
  return std::clamp<std::int64_t>(kParameters / std::max<std::int64_t>(block_parameters, 1), 1, threads);
}

void for_each_block(std::int64_t count, std::int64_t at_once, const std::function<void(std::int64_t)>& work) {
  if (at_once <= 1) {
    for (std::int64_t index = 0; index < count; ++index) work(index);
    return;
  }
  std::atomic<std::int64_t> next{0};
  parallel_for(std::min(count, at_once), 1, [&](std::int64_t, std::int64_t) {
    try {
      for (std::int64_t index = next++; index < count; index = next++) work(index);
    } catch (...) {
      next = count;
      throw;
    }
  });
}

}  // namespace lowbit
