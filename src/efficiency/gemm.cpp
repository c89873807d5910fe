#include "lowbit/efficiency/gemm.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>

#include "efficiency/clock.h"
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

constexpr std::int64_t kMostColdTokens = 4;  // above these the product, not the memory, takes the time

// One implementation with its operands, which it keeps alive.
struct Contender {
  GemmTiming timing;
  std::int64_t copies = 1;
  std::function<void(std::int64_t copy)> run;
  std::vector<double> seconds;
  std::vector<double> processor_seconds;
};

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

class GemmBencher {
 public:
  GemmBencher(const GemmBenchOptions& options, Progress& progress) : options_(options), progress_(progress) {}

  std::vector<GemmTiming> run() {
    std::vector<GemmTiming> timings;
    const auto parts = static_cast<std::int64_t>(options_.tokens.size());
    const auto task = progress_.start("measuring", 2 * parts, "shapes");
    for (const std::int64_t tokens : options_.tokens) {
      for (const bool cold : {false, true}) {
        task->advance();
        if (cold && tokens > kMostColdTokens) continue;
        contenders_.clear();
        add_library(tokens, cold);
        for (const int bits : options_.bits) {
          for (const std::int64_t group : options_.groups) add_packed(bits, group, tokens, cold);
        }
        measure();
        for (Contender& contender : contenders_) timings.push_back(finished(contender));
      }
    }
    return timings;
  }

 private:
  void add(Contender contender, std::int64_t tokens, bool cold) {
    contender.timing.tokens = tokens;
    contender.timing.cold = cold;
    contender.timing.operations = 2.0 * static_cast<double>(tokens * options_.rows * options_.columns);
    contenders_.push_back(std::move(contender));
  }

  void add_library(std::int64_t tokens, bool cold) {
    const at::Tensor x = random_matrix(tokens, options_.columns, "bench/x");
    const at::Tensor weight = random_matrix(options_.rows, options_.columns, "bench/weight");
    add_library_type("LibTorch float32", x, weight, tokens, cold);
    add_library_type("LibTorch bfloat16", x.to(at::kBFloat16), weight.to(at::kBFloat16), tokens, cold);
    add_library_type("LibTorch int8", x.mul(30).to(at::kChar), weight.mul(30).to(at::kChar), tokens, cold);
  }

  void add_library_type(std::string name, const at::Tensor& x, const at::Tensor& weight, std::int64_t tokens,
                        bool cold) {
    Contender contender;
    contender.timing.name = std::move(name);
    contender.timing.weight_bytes = static_cast<std::int64_t>(weight.nbytes());
    contender.copies = copies_of(contender.timing.weight_bytes, cold);
    std::vector<at::Tensor> weights;
    for (std::int64_t i = 0; i < contender.copies; ++i) weights.push_back(weight.clone());
    contender.run = [x, weights = std::move(weights)](std::int64_t copy) {
      const at::Tensor& chosen = weights[static_cast<std::size_t>(copy)];
      (void)(x.scalar_type() == at::kChar ? library_int8_product(x, chosen) : library_linear(x, chosen));
    };
    add(std::move(contender), tokens, cold);
  }

  void add_packed(int bits, std::int64_t group, std::int64_t tokens, bool cold) {
    const PackedWeight weight = random_weight(options_, bits, group);
    std::vector<PackedWeight> weights = {weight};
    const kernels::UnpackedWeight unpacked = cold ? weight.unpack() : kernels::UnpackedWeight{};
    for (std::int64_t i = 1; i < copies_of(weight.bytes(), cold); ++i) {
      weights.push_back(PackedWeight::pack(unpacked.view(), pool_executor()));
    }
    const auto input = std::make_shared<const std::vector<float>>(random_numbers(tokens * options_.columns, "bench/x"));
    for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kFloat32}) {
      const kernels::Choice choice = kernels::explain(weight, arithmetic, tokens, options_.backend);
      Contender contender;
      contender.timing.name = product_name(kernels::arithmetic_name(arithmetic), bits, group);
      contender.timing.kernel = choice.backend + ": " + choice.kernel;
      contender.timing.weight_bytes = weight.bytes();
      contender.copies = static_cast<std::int64_t>(weights.size());
      auto output = std::make_shared<std::vector<float>>(static_cast<std::size_t>(tokens * options_.rows));
      auto space = std::make_shared<std::vector<std::byte>>(
          kernels::workspace_bytes(weight, arithmetic, tokens, options_.backend));
      contender.run = [=, this](std::int64_t copy) {
        kernels::multiply({weights[static_cast<std::size_t>(copy)],
                           arithmetic,
                           {input->data(), tokens, options_.columns, options_.columns},
                           {output->data(), tokens, options_.rows, options_.rows},
                           {},
                           *space,
                           pool_executor(),
                           options_.backend});
      };
      add(std::move(contender), tokens, cold);
    }
  }

  // In turn, so that what disturbs the machine meets all alike. The first round warms up. A warm product runs once
  // before it is timed, since its rivals have driven its weight out of the cache.
  void measure() {
    for (int repetition = -1; repetition < options_.repetitions; ++repetition) {
      for (Contender& contender : contenders_) {
        if (contender.copies == 1) contender.run(0);
        const double start = wall_seconds();
        const double processor_start = processor_seconds();
        contender.run((repetition + 1) % contender.copies);
        if (repetition < 0) continue;
        contender.processor_seconds.push_back(processor_seconds() - processor_start);
        contender.seconds.push_back(wall_seconds() - start);
      }
    }
  }

  static GemmTiming finished(Contender& contender) {
    std::ranges::sort(contender.seconds);
    std::ranges::sort(contender.processor_seconds);
    contender.timing.processor_seconds = contender.processor_seconds[contender.processor_seconds.size() / 2];
    contender.timing.seconds = {contender.seconds[contender.seconds.size() / 2], contender.seconds.front(),
                                contender.seconds.back()};
    return contender.timing;
  }

  const GemmBenchOptions& options_;
  Progress& progress_;
  std::vector<Contender> contenders_;
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
  constexpr int kPasses = 60;
  bench.warm_bandwidth = kernels::read_bandwidth(static_cast<std::size_t>(least_bytes), kPasses, pool_executor());
  bench.cold_bandwidth = kernels::read_bandwidth(kColdBytes, kPasses, pool_executor());
  bench.peaks = kernels::unit_peaks();
  const double wall = wall_seconds();
  const double processor = processor_seconds();
  bench.timings = GemmBencher(options, progress).run();
  bench.processor_share = (processor_seconds() - processor) / ((wall_seconds() - wall) * bench.threads);
  return bench;
}

}  // namespace lowbit
