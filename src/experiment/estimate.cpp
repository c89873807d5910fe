#include "experiment/estimate.h"

#include <malloc.h>

#include <algorithm>

#include "lowbit/tensor/dtype.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

// Opening the program and its libraries, tokenizing, writing results.
constexpr double kSecondsPerOpen = 1;
// Attention, norms and copies on top of a forward pass's products.
constexpr double kBesideProducts = 1.25;
// Passes over memory that rounding, judging, packing and checking a weight take, each reading and writing four bytes:
// an estimate from what these steps do, not a measurement.
constexpr double kPassesPerWeight = 6;
// A sweep's products run in a kernel of their own, at about half the speed of the library's.
constexpr double kSweepFactor = 2;
// Of the memory that is free when a run is planned, others may take a share before the work is done.
constexpr double kUsableShare = 0.9;

// Bytes that a piece of work should stay within.
std::int64_t limit_of(const ComputeConfig& compute) {
  if (compute.memory_limit > 0) return compute.memory_limit << 20;
  return static_cast<std::int64_t>(kUsableShare * static_cast<double>(available_memory_bytes()));
}

// What a process holds before a model's first weight is read, without what earlier work freed and the heap still keeps.
std::int64_t baseline() {
  ::malloc_trim(0);
  return resident_memory().total();
}

}  // namespace

MemoryPlacement place_quantization(const Architecture& architecture, const ComputeConfig& compute, const Recipe& recipe,
                                   const CalibrationSet* set) {
  QuantizationLoad load;
  if (set != nullptr) load = {set->tokens(), set->longest()};
  const MemoryModel memory(architecture, compute, baseline());
  return memory.place_quantization(recipe, load, limit_of(compute));
}

MemoryPlacement place_evaluation(const Architecture& architecture, const ComputeConfig& compute, std::int64_t tokens,
                                 bool compared, bool cached, bool writes) {
  const MemoryModel memory(architecture, compute, baseline());
  return memory.place_evaluation({tokens, compared, cached, writes}, limit_of(compute));
}

Estimator::Estimator(const Architecture& architecture, const ComputeConfig& compute, const MachineSpeed& speed)
    : architecture_(architecture), compute_(compute), speed_(speed), memory_(architecture, compute, baseline()) {}

double Estimator::forward_seconds(double tokens) const {
  const auto parameters = static_cast<double>(architecture_.layers * architecture_.block_parameters());
  return kBesideProducts * tokens * parameters / speed_.multiply_adds;
}

// Of one linear: its inverse factor (two thirds of n^3 on one thread), the sweep, three products with the Hessian.
double Estimator::solving_seconds(const Recipe& recipe) const {
  const Architecture& a = architecture_;
  const auto of_linear = [&](std::int64_t out, std::int64_t in) {
    const auto n = static_cast<double>(in);
    const auto weights = static_cast<double>(out) * n;
    return 2.0 / 3.0 * n * n * n / speed_.double_multiply_adds +
           weights * n * (kSweepFactor / 2 + 3) / speed_.multiply_adds;
  };
  const auto weights = static_cast<double>(a.layers * a.block_parameters());
  const double rounding = kPassesPerWeight * 2 * sizeof(float) * weights / (speed_.bytes * thread_count());
  if (!recipe.needs().hessian) return rounding;
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  const double block = of_linear(q, a.hidden) + 2 * of_linear(kv, a.hidden) + of_linear(a.hidden, q) +
                       2 * of_linear(a.intermediate, a.hidden) + of_linear(a.hidden, a.intermediate);
  return rounding + static_cast<double>(a.layers) * block;
}

// The lower triangles of the groups' Hessians.
std::int64_t Estimator::statistics_bytes() const {
  const Architecture& a = architecture_;
  std::int64_t numbers = 0;
  for (const std::int64_t channels : {a.hidden, a.heads * a.head_dim, a.hidden, a.intermediate}) {
    numbers += channels * (channels + 1) / 2;
  }
  return a.layers * numbers * static_cast<std::int64_t>(sizeof(double));
}

void Estimator::quantization(WorkItem& item, const Recipe& recipe, std::int64_t longest_sequence,
                             bool collected) const {
  const Architecture& a = architecture_;
  const QuantizationLoad load{item.tokens, longest_sequence};
  item.placement = memory_.place_quantization(recipe, load, limit_of(compute_));
  item.peak = memory_.quantization(recipe, load, item.placement);
  item.estimated_memory = item.peak.bytes();
  item.estimated_seconds = kSecondsPerOpen + solving_seconds(recipe);
  const StatisticsNeeds needs = recipe.needs();
  if (recipe.needs_calibration() && !collected) {
    const auto tokens = static_cast<double>(item.tokens);
    // States that are not held are computed again for each of the four groups.
    const bool held = item.placement.held_bytes > 0;
    item.estimated_seconds += forward_seconds(tokens) * (held ? 1 : 2.5);
    if (needs.cross || recipe.needs(Stream::kFloat).any()) item.estimated_seconds += forward_seconds(tokens);
    const auto hidden = static_cast<double>(a.hidden);
    const auto wide = static_cast<double>(a.intermediate);
    const double squares = static_cast<double>(a.layers) * (3 * hidden * hidden + wide * wide) / 2;
    if (needs.hessian) item.estimated_seconds += squares * tokens / speed_.multiply_adds;
  }
  const std::int64_t table = a.vocabulary * a.hidden;
  const std::int64_t parameters = a.layers * a.block_parameters();
  item.estimated_disk = parameters * 5 / 8 + table * 4 * (a.tied_head ? 1 : 2);
  if (item.shares_statistics && !collected) item.estimated_disk += statistics_bytes();
  if (item.placement.spill_streams) item.estimated_disk += 2 * item.tokens * a.hidden * dtype_bytes(compute_.dtype);
}

void Estimator::evaluation(WorkItem& item, const EvaluationKind& kind) const {
  const EvaluationLoad load{item.tokens, kind.compared, kind.cached,
                            kind.writes, kind.recipe,   compute_.execution != Execution::kSimulated};
  item.placement = memory_.place_evaluation(load, limit_of(compute_));
  item.peak = memory_.evaluation(load, item.placement);
  item.estimated_memory = item.peak.bytes();
  const Architecture& a = architecture_;
  const auto tokens = static_cast<double>(item.tokens);
  const auto logits = static_cast<double>(a.vocabulary * a.hidden) * tokens / speed_.multiply_adds;
  const auto parameters = static_cast<double>(a.parameters());
  const std::int64_t waves =
      item.placement.streamed ? (item.tokens + item.placement.wave_tokens - 1) / item.placement.wave_tokens : 1;
  const double reading = 2.0 * 8.0 * parameters / (speed_.bytes * thread_count());
  item.estimated_seconds = kSecondsPerOpen + forward_seconds(tokens) + logits * (kind.compared ? 2 : 1) +
                           reading * static_cast<double>(waves);
  item.estimated_disk = kind.keeps_states ? item.tokens * a.hidden * 4 : 0;
}

}  // namespace lowbit
