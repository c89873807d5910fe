#include "lowbit/efficiency/gemm.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "efficiency/clock.h"
#include "efficiency/gemm_contest.h"
#include "efficiency/gemm_device.h"
#include "efficiency/gemm_operands.h"
#include "lowbit/base/error.h"
#include "lowbit/efficiency/machine.h"
#include "lowbit/kernels/api.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {

namespace {

using kernels::Arithmetic;
using kernels::PackedWeight;

constexpr int kPasses = 5;                   // of what is to be in the cache
constexpr std::int64_t kMostColdTokens = 4;  // above these the product, not the memory, takes the time

void check(const GemmBenchOptions& options) {
  constexpr std::int64_t kMost = 65536;
  if (options.rows < 1 || options.rows > kMost || options.columns < 1 || options.columns > kMost) {
    fail(ErrorCode::kConfig, "bench gemm: the matrix is {} x {}, expected 1 to {} each", options.rows, options.columns,
         kMost);
  }
  if (options.repetitions < 3) {
    fail(ErrorCode::kConfig, "bench gemm: {} repetitions, expected at least 3 for a median", options.repetitions);
  }
  for (const std::int64_t tokens : options.tokens) {
    if (tokens < 1 || tokens > kMost)
      fail(ErrorCode::kConfig, "bench gemm: {} tokens, expected 1 to {}", tokens, kMost);
  }
  for (const int bits : options.bits) {
    if (bits < 2 || bits > 8) fail(ErrorCode::kConfig, "bench gemm: {} bits, expected 2 to 8", bits);
  }
  for (const std::int64_t group : options.groups) {
    if (group != -1 && group < 1) {
      fail(ErrorCode::kConfig, "bench gemm: groups of {} columns, expected at least 1, or -1 for one a row", group);
    }
  }
  if (!options.device.is_cpu()) {
    if (options.backend.empty()) return;
    fail(ErrorCode::kConfig,
         "bench gemm: backend '{}' is one of the CPU's, and the device is '{}'; leave one of them out", options.backend,
         options.device.str());
  }
  // A backend that cannot be had is told before anything is measured.
  GemmBenchOptions smallest = options;
  smallest.rows = smallest.columns = 16;
  (void)kernels::explain(random_weight(smallest, 4, -1), Arithmetic::kInt8, 1, options.backend);
}

class HostContest : public GemmContest {
 public:
  HostContest(const GemmBenchOptions& options, kernels::ReadProbe& warm, kernels::ReadProbe& cold, Progress& progress)
      : GemmContest(options, progress, kMostColdTokens), warm_(warm), cold_(cold) {}

 private:
  void add_libraries(std::int64_t tokens, bool cold) override {
    const at::Tensor x = random_matrix(tokens, options().columns, "bench/x");
    const at::Tensor weight = random_matrix(options().rows, options().columns, "bench/weight");
    add_library("LibTorch float32", "float32", x, weight, tokens, cold);
    add_library("LibTorch bfloat16", "bfloat16", x.to(at::kBFloat16), weight.to(at::kBFloat16), tokens, cold);
    add_library("LibTorch int8", "int8", x.mul(30).to(at::kChar), weight.mul(30).to(at::kChar), tokens, cold);
  }

  void add_packed(int bits, std::int64_t group, std::int64_t tokens, bool cold) override {
    const std::vector<PackedWeight> weights = copy(random_weight(options(), bits, group), cold);
    for (const Arithmetic arithmetic :
         {Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kFloat32, Arithmetic::kBFloat16}) {
      add_product(weights, arithmetic, bits, group, tokens, cold);
    }
    if (bits > 4) return;
    const PackedWeight two_levels = random_weight(options(), bits, group, kernels::ScaleStorage::kUint8);
    add_product(copy(two_levels, cold), Arithmetic::kInt8TwoLevel, bits, group, tokens, cold);
  }

  static std::vector<PackedWeight> copy(const PackedWeight& weight, bool cold) {
    std::vector<PackedWeight> weights = {weight};
    const kernels::UnpackedWeight unpacked = cold ? weight.unpack() : kernels::UnpackedWeight{};
    for (std::int64_t i = 1; i < copies_of(weight.bytes(), cold); ++i) {
      weights.push_back(PackedWeight::pack(unpacked.view(), pool_executor()));
    }
    return weights;
  }

  void add_product(const std::vector<PackedWeight>& weights, Arithmetic arithmetic, int bits, std::int64_t group,
                   std::int64_t tokens, bool cold) {
    const PackedWeight& weight = weights.front();
    const auto input =
        std::make_shared<const std::vector<float>>(random_numbers(tokens * options().columns, "bench/x"));
    const kernels::Choice choice = kernels::explain(weight, arithmetic, tokens, options().backend);
    Contender contender;
    contender.timing.name = product_name(kernels::arithmetic_name(arithmetic), bits, group);
    contender.timing.arithmetic = kernels::arithmetic_name(arithmetic);
    contender.timing.kernel = choice.backend + ": " + choice.kernel;
    contender.timing.weight_bytes = weight.bytes();
    contender.copies = static_cast<std::int64_t>(weights.size());
    auto output = std::make_shared<std::vector<float>>(static_cast<std::size_t>(tokens * options().rows));
    auto space = std::make_shared<std::vector<std::byte>>(
        kernels::workspace_bytes(weight, arithmetic, tokens, options().backend));
    contender.run = [=, this](std::int64_t copy) {
      kernels::multiply({weights[static_cast<std::size_t>(copy)],
                         arithmetic,
                         {input->data(), tokens, options().columns, options().columns},
                         {output->data(), tokens, options().rows, options().rows},
                         {},
                         *space,
                         pool_executor(),
                         options().backend});
      return at::Tensor();  // nothing to wait for
    };
    add(std::move(contender), tokens, cold);
  }

  // The best of some passes: the first ones wake threads, and bring a small buffer back into the cache.
  Rates probe(bool cold) override {
    return {(cold ? cold_ : warm_).best(kPasses), kernels::unit_rates(pool_executor())};
  }

  // A warm product runs before it is timed, since its rivals have driven its weight out of the cache: a short one as
  // often as the probe's passes, after which the last level has it.
  Seconds time(const Contender& contender, int round) override {
    constexpr double kShort = 0.001;
    for (int i = 0; i < kPasses && contender.copies == 1; ++i) {
      const double start = wall_seconds();
      (void)contender.run(0);
      if (wall_seconds() - start > kShort) break;
    }
    const double wall = wall_seconds();
    const double processor = processor_seconds();
    (void)contender.run(round % contender.copies);
    const double used = processor_seconds() - processor;
    return {wall_seconds() - wall, used};
  }

  kernels::ReadProbe& warm_;
  kernels::ReadProbe& cold_;
};

void measure_device(GemmBench& bench, std::int64_t least_bytes, Progress& progress) {
  const MachinePeaks peaks = probe_device(bench.options.device, {std::max<std::int64_t>(least_bytes, 1), kColdBytes});
  bench.device = peaks.device;
  bench.warm_bandwidth = peaks.bandwidths[0].second;
  bench.cold_bandwidth = peaks.bandwidths[1].second;
  bench.peaks = peaks.units;
  bench.timings = time_device_products(bench.options, progress);
}

}  // namespace

GemmBench run_gemm_bench(const GemmBenchOptions& options, Progress& progress) {
  check(options);
  GemmBench bench;
  bench.options = options;
  bench.threads = thread_count();
  bench.processor = processor_name();
  double loads[1] = {};
  if (::getloadavg(loads, 1) == 1) bench.load_average = loads[0];
  const int bits = options.bits.empty() ? 4 : *std::ranges::min_element(options.bits);
  const std::int64_t least_bytes = options.rows * options.columns * bits / 8;
  if (!options.device.is_cpu()) {
    measure_device(bench, least_bytes, progress);
    return bench;
  }
  constexpr int kReads = 60;
  kernels::ReadProbe warm(static_cast<std::size_t>(least_bytes), pool_executor());
  kernels::ReadProbe cold(static_cast<std::size_t>(kColdBytes), pool_executor());
  bench.warm_bandwidth = warm.best(kReads);
  bench.cold_bandwidth = cold.best(kReads);
  bench.peaks = kernels::unit_peaks();
  const double wall = wall_seconds();
  const double processor = processor_seconds();
  bench.timings = HostContest(options, warm, cold, progress).run();
  bench.processor_share = (processor_seconds() - processor) / ((wall_seconds() - wall) * bench.threads);
  return bench;
}

}  // namespace lowbit
