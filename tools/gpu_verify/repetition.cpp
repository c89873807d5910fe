#include <fmt/format.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "products.h"
#include "random_weights.h"
#include "stages.h"

namespace lowbit::gpu_verify {

namespace {

// How many of `times` runs give other bits than the first one. `run` takes whether its launches are dependent.
template <typename Runner, typename Run>
int count_others(const Gpu& gpu, const Runner& runner, int times, const Run& run) {
  std::vector<float> first;
  int others = 0;
  for (int i = 0; i < times; ++i) {
    runner.poison();
    run(i % 2 == 1);
    gpu.wait();
    std::vector<float> found = runner.output();
    if (i == 0) {
      first = std::move(found);
    } else if (std::memcmp(first.data(), found.data(), first.size() * sizeof(float)) != 0) {
      ++others;
    }
  }
  return others;
}

void repeat_splits(const Gpu& gpu, const std::string& name, cuda::HalfKernel kernel, int tokens, int times,
                   Results& results) {
  const WeightCase c = {300, 4096, 128, 4, false};
  const Weights device(gpu, cuda::pack(kernels::PackedWeight::pack(make_weight(c, 17).view())), 1);
  const auto input = to_16_bits(make_input(tokens * c.columns, 5), false);
  for (const int splits : {2, 4}) {
    HalfRunner runner(gpu, device, cuda::NumberKind::kFloat16, input, tokens, kernel);
    runner.force_splits(splits);
    const int others = count_others(gpu, runner, times, [&](bool dependent) { runner.run(0, dependent); });
    Record record;
    record.text("case", fmt::format("{}{} runs in {} splits", name, times, splits)).number("other_bits", others);
    results.write_check(record, others == 0);
  }
}

void repeat_bytes(const Gpu& gpu, const std::string& name, IntegerKernel kernel, int tokens, int times,
                  Results& results) {
  const WeightCase c = {300, 4096, 4096, 8, false};
  const Weights device(gpu, cuda::pack(kernels::PackedWeight::pack(make_weight(c, 17).view())), 1);
  const IntegerRunner runner(gpu, device, 1, make_input(tokens * c.columns, 5), tokens, kernel);
  const int others = count_others(gpu, runner, times, [&](bool dependent) {
    runner.quantize(0, dependent);
    runner.multiply(0, dependent);
  });
  Record record;
  record.text("case", fmt::format("{}, {} runs", name, times)).number("other_bits", others);
  results.write_check(record, others == 0);
}

void repeat_float8(const Gpu& gpu, int tokens, int times, Results& results) {
  const WeightCase c = {300, 4096, 4096, 8, true, false, true};
  const Weights device(gpu, cuda::pack(kernels::PackedWeight::pack(make_weight(c, 17).view())), 1);
  const Float8Runner runner(gpu, device, make_input(tokens * c.columns, 5), tokens);
  const int others = count_others(gpu, runner, times, [&](bool dependent) {
    runner.round(0, dependent);
    runner.multiply(0, dependent);
  });
  Record record;
  record.text("case", fmt::format("hopper_float8, {} tokens, {} runs", tokens, times)).number("other_bits", others);
  results.write_check(record, others == 0);
}

}  // namespace

void run_repetition(const Gpu& gpu, const Settings& settings, Results& results) {
  const int times = settings.tiny ? 5 : 1000;
  const bool is_hopper = gpu.facts().major == 9;
  if (settings.unproven) {
    run_columns_repetition(gpu, times, results);
    if (!is_hopper) return;
    repeat_splits(gpu, "hopper_rounded_turns, ", cuda::HalfKernel::kHopperRoundedTurns, 130, times, results);
    for (const int tokens : {40, 130}) repeat_float8(gpu, tokens, times, results);
    return repeat_bytes(gpu, "hopper_bytes_turns", IntegerKernel::kHopperTurns, 130, times, results);
  }
  repeat_splits(gpu, "", cuda::HalfKernel::kSkinny, 3, times, results);
  if (is_hopper) {
    repeat_splits(gpu, "hopper, ", cuda::HalfKernel::kHopper, 3, times, results);
    repeat_splits(gpu, "hopper, shared activations, ", cuda::HalfKernel::kHopper, 70, times, results);
    repeat_splits(gpu, "hopper_sliced, ", cuda::HalfKernel::kHopperSliced, 16, times, results);
    repeat_splits(gpu, "hopper_rounded, ", cuda::HalfKernel::kHopperRounded, 130, times, results);
    repeat_bytes(gpu, "hopper_bytes", IntegerKernel::kHopper, 130, times, results);
  }
  run_step_repetition(gpu, times, results);
}

}  // namespace lowbit::gpu_verify
