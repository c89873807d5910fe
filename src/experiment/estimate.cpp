#include "experiment/estimate.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <chrono>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// LibTorch's code and its thread stacks, measured as the peak of a process that only multiplies two small matrices.
constexpr std::int64_t kProgramMemory = std::int64_t{260} << 20;
constexpr std::int64_t kSecondsPerOpen = 1;

// Multiply-adds a second of the model's most common product, over about a tenth of a second.
double measure_products(const Architecture& architecture, const ComputeConfig& compute) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kRows = 512;
  const std::int64_t in = std::min<std::int64_t>(architecture.hidden, 4096);
  const std::int64_t out = std::min<std::int64_t>(architecture.intermediate, 4096);
  const at::Tensor x = make_full({1, kRows, in}, 0.5, compute.dtype);
  const at::Tensor weight = make_full({out, in}, 0.25, compute.dtype);
  double best = 0;
  const auto end = Clock::now() + std::chrono::milliseconds(100);
  do {
    const auto start = Clock::now();
    (void)linear(x, weight, {}, compute.deterministic);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(kRows * in * out) / std::max(seconds, 1e-9));
  } while (Clock::now() < end);
  return best;
}

}  // namespace

Estimator::Estimator(const Architecture& architecture, const ComputeConfig& compute)
    : architecture_(architecture),
      compute_(compute),
      multiply_adds_per_second_(measure_products(architecture, compute)) {}

// Attention, norms and copies take about a quarter on top of the products.
double Estimator::seconds_for(double multiply_adds) const { return 1.25 * multiply_adds / multiply_adds_per_second_; }

std::int64_t Estimator::element_bytes() const { return dtype_bytes(compute_.dtype); }

std::int64_t Estimator::model_memory() const {
  const std::int64_t table = architecture_.vocabulary * architecture_.hidden * (architecture_.tied_head ? 1 : 2);
  const std::int64_t blocks = compute_.memory == MemoryMode::kResident ? architecture_.layers : 1;
  return kProgramMemory + (table + blocks * architecture_.block_parameters()) * element_bytes();
}

void Estimator::quantization(WorkItem& item, const Recipe& recipe) const {
  const std::int64_t parameters = architecture_.layers * architecture_.block_parameters();
  const StatisticsNeeds needs = recipe.needs();
  double multiply_adds = 0;
  std::int64_t activations = 0;
  if (recipe.needs_calibration()) {
    const auto tokens = static_cast<double>(item.tokens);
    multiply_adds = tokens * static_cast<double>(parameters);
    const double squares = 3.0 * static_cast<double>(architecture_.hidden * architecture_.hidden) +
                           static_cast<double>(architecture_.intermediate * architecture_.intermediate);
    if (needs.hessian) multiply_adds += static_cast<double>(architecture_.layers) * squares * tokens / 2.0;
    const std::int64_t widest = std::max(architecture_.hidden, architecture_.intermediate);
    const std::int64_t streams = needs.cross || needs.stream == Stream::kFloat ? 2 : 1;
    activations = item.tokens * (2 * streams * architecture_.hidden + widest) * element_bytes();
    activations += 6 * widest * widest * static_cast<std::int64_t>(sizeof(double));
  }
  // Each weight passes through a solver: some hundred operations, and its inverse Hessian row when it has one.
  const double solver =
      static_cast<double>(parameters) * (needs.hessian ? static_cast<double>(architecture_.hidden) / 2.0 : 50.0);
  item.estimated_seconds = static_cast<double>(kSecondsPerOpen) + seconds_for(multiply_adds + solver);
  item.estimated_memory = kProgramMemory + architecture_.block_parameters() * 4 * 3 + activations +
                          architecture_.vocabulary * architecture_.hidden * element_bytes();
  item.estimated_disk =
      parameters * 5 / 8 + architecture_.vocabulary * architecture_.hidden * 4 * (architecture_.tied_head ? 1 : 2);
}

void Estimator::evaluation(WorkItem& item, bool keeps_states) const {
  item.estimated_seconds =
      static_cast<double>(kSecondsPerOpen) +
      seconds_for(static_cast<double>(item.tokens) * static_cast<double>(architecture_.multiply_adds()));
  const std::int64_t batch = std::max<std::int64_t>(compute_.batch_tokens, 1);
  const std::int64_t activations = compute_.memory == MemoryMode::kStreamed ? item.tokens : batch;
  item.estimated_memory =
      model_memory() + (activations * architecture_.hidden + batch * 3 * architecture_.intermediate) * element_bytes() +
      2 * 128 * architecture_.vocabulary * 4;
  item.estimated_disk = keeps_states ? item.tokens * architecture_.hidden * 4 : 0;
}

}  // namespace lowbit
