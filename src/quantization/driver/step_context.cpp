#include "quantization/driver/step_context.h"

#include <fmt/format.h>

#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {

StepContext::StepContext(const DriverRun& run, const Block& original, Block& block, StatisticsCache& cache,
                         Stream stream, std::size_t step, std::function<void(const SolverEvent&)> report)
    : run_(run),
      original_(original),
      block_(block),
      cache_(cache),
      stream_(stream),
      step_(step),
      report_(std::move(report)) {}

const Statistics& StepContext::statistics(std::string_view group) const { return cache_.get(stream_, group); }

std::int64_t StepContext::sequences() const {
  if (!run_.streams.any()) return 0;
  return static_cast<std::int64_t>(run_.streams.inputs(Stream::kQuantized).size());
}

at::Tensor StepContext::input(Stream stream, std::int64_t sequence) const {
  const at::Tensor& kept = run_.streams.inputs(stream).at(static_cast<std::size_t>(sequence));
  return to_place(kept, dtype_of(kept), block_.options().device);
}

at::Tensor StepContext::float_output(std::int64_t sequence) const {
  const NoGradScope no_gradients;
  return original_.forward(input(Stream::kFloat, sequence), run_.rope);
}

const WeightSolver* StepContext::solver(std::string_view linear) const {
  return run_.recipe.solver(fmt::format("{}.{}", original_.name(), linear));
}

// Every token passes every linear of a dense block.
std::int64_t StepContext::tokens_of(std::string_view linear) const {
  (void)original_.linear(linear);
  return run_.tokens;
}

Random StepContext::random(std::string_view purpose) const {
  return Random(run_.seed, "block step").child(fmt::format("{}/{}/{}", original_.name(), step_, purpose));
}

}  // namespace lowbit
