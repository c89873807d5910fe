#include <ATen/core/Tensor.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "experiment/estimate.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

using Clock = std::chrono::steady_clock;

double core_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// What one of several tries took: of the cores, each of the threads having one, and on the wall.
struct Try {
  double used = 0;
  double elapsed = 0;
};

// Runs `work` for a twentieth of a second at least and returns the quickest try.
template <typename Work>
Try quickest(int threads, const Work& work) {
  Try best{1e30, 1e30};
  work();  // the first finds no memory, no threads and no code in place
  const auto end = Clock::now() + std::chrono::milliseconds(50);
  do {
    const double used = core_seconds();
    const auto start = Clock::now();
    work();
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    best.used = std::min(best.used, std::max((core_seconds() - used) / threads, 1e-9));
    best.elapsed = std::min(best.elapsed, std::max(elapsed, 1e-9));
  } while (Clock::now() < end);
  return best;
}

}  // namespace

MachineSpeed measure_speed(const ComputeConfig& compute) {
  constexpr std::int64_t kRows = 512;
  constexpr std::int64_t kWidth = 1024;
  constexpr std::int64_t kDoubleWidth = 384;
  constexpr std::int64_t kCopied = std::int64_t{8} << 20;
  MachineSpeed speed;
  const at::Tensor x = make_full({1, kRows, kWidth}, 0.5, compute.dtype);
  const at::Tensor weight = make_full({kWidth, kWidth}, 0.25, compute.dtype);
  const Try product = quickest(thread_count(), [&] { (void)linear(x, weight, {}, compute.deterministic); });
  speed.multiply_adds = static_cast<double>(kRows * kWidth * kWidth) / product.used;
  speed.busy = std::max(1.0, product.elapsed / product.used);
  const at::Tensor square = make_full({kDoubleWidth, kDoubleWidth}, 0.5, DType::kFloat64);
  const at::Tensor bytes = make_full({kCopied}, 1, DType::kUInt8);
  const SingleThreadScope one_thread;
  const Try factor = quickest(1, [&] { (void)square.matmul(square); });
  speed.double_multiply_adds = static_cast<double>(kDoubleWidth * kDoubleWidth * kDoubleWidth) / factor.used;
  const Try copy = quickest(1, [&] { (void)bytes.clone(); });
  speed.bytes = 2.0 * static_cast<double>(kCopied) / copy.used;
  return speed;
}

}  // namespace lowbit
