#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "contest.h"
#include "kernels/cuda/step_dispatch.h"
#include "random_weights.h"
#include "stages.h"
#include "step_model.h"
#include "timing.h"

namespace lowbit::gpu_verify {

namespace {

constexpr double kCacheBytes = 256.0 * (1 << 20);

// Three blocks of Llama 2 7B and of Llama 3 8B, each of which reads weights that no other does: 300 MB and more.
std::vector<StepCase> step_shapes(bool tiny, const StepWeights& weights) {
  if (tiny) return {{{1, 64, 128, 2, 1, 32, 72, 0, 1e-5F}, 1, false, 64, weights}};
  return {{{1, 4096, 11008, 32, 32, 128, 4096, 0, 1e-5F}, 3, false, 511, weights},
          {{1, 4096, 14336, 32, 8, 128, 4096, 0, 1e-5F}, 3, false, 511, weights},
          {{1, 4096, 14336, 32, 8, 128, 4096, 0, 1e-5F}, 3, false, 4095, weights},
          {{16, 4096, 14336, 32, 8, 128, 1024, 0, 1e-5F}, 3, false, 511, weights}};
}

std::vector<StepCase> all_shapes(const Settings& settings) {
  std::vector<StepCase> shapes = step_shapes(settings.tiny, {4, 128, false});
  if (!settings.unproven) return shapes;
  for (const StepWeights& weights : {StepWeights{8, 0, true}, StepWeights{4, 128, true}}) {
    for (const StepCase& c : step_shapes(settings.tiny, weights)) shapes.push_back(c);
  }
  return shapes;
}

struct CacheCase {
  int sequences;
  int kv_heads;
  int repeats;
  int channels;
  int tokens;

  [[nodiscard]] std::string name() const {
    return fmt::format("step attention speed {}x{}x{} of {} {} tokens", sequences, kv_heads, repeats, channels, tokens);
  }
  [[nodiscard]] std::int64_t side() const { return std::int64_t{sequences} * kv_heads * tokens * channels; }
  [[nodiscard]] double bytes() const { return 4.0 * static_cast<double>(side()); }  // keys and values, two each
};

std::vector<CacheCase> cache_cases(bool tiny) {
  if (tiny) return {{1, 2, 4, 64, 70}};
  return {
      {1, 32, 1, 128, 512}, {1, 32, 1, 128, 4096}, {1, 8, 4, 128, 512}, {1, 8, 4, 128, 4096}, {16, 8, 4, 128, 4096}};
}

std::string speed_name(const StepCase& c) { return "speed of " + c.name(); }

// One graph of all blocks and the final norm, replayed from the same position.
void measure_step(const Gpu& gpu, const Settings& settings, const StepCase& c, Matrices& matrices, Results& results) {
  StepModel::Products products{};
  for (std::size_t i = 0; i < products.size(); ++i) {
    const auto [rows, columns] = c.products()[i];
    products[i] = &matrices.get({columns, rows}, c.weights.bits, c.weights.group > 0 ? c.weights.group : columns);
  }
  const StepModel model(gpu, c, std::vector<StepModel::Products>(static_cast<std::size_t>(c.blocks), products));
  model.begin();
  model.launch();
  gpu.wait();
  const Graph graph(gpu, [&] { model.launch(); });
  std::vector<double> microseconds;
  for (int i = -1; i < settings.repetitions; ++i) {
    model.begin();
    const double time = graph.milliseconds() * 1e3;
    if (i >= 0) microseconds.push_back(time / c.blocks);
  }
  Record record;
  record.text("case", speed_name(c)).text("entrant", "a block of a step, by graph");
  write_times(std::move(microseconds), model.weight_bytes() / c.blocks, copy_rate(gpu, settings), record, results);
}

// A graph of so many caches that they leave the GPU's own between two uses.
void measure_cached(const Gpu& gpu, const Settings& settings, const CacheCase& c, Results& results) {
  const int copies = settings.tiny ? 1 : static_cast<int>((kCacheBytes + c.bytes() - 1.0) / c.bytes());
  const auto numbers = to_16_bits(make_input(1 << 20, 8), true);
  const auto count = static_cast<std::size_t>(c.side() * copies);
  const Buffer<std::uint16_t> keys(gpu, repeated(count, numbers));
  const Buffer<std::uint16_t> values(gpu, repeated(count, numbers));
  const std::int64_t queries = std::int64_t{c.sequences} * c.kv_heads * c.repeats * c.channels;
  const Buffer<std::uint16_t> q(gpu, to_16_bits(make_input(queries, 7), true));
  const Buffer<std::uint16_t> y(gpu, static_cast<std::size_t>(queries));
  const Buffer<std::int32_t> position(gpu, std::vector<std::int32_t>{c.tokens - 1});
  const Buffer<float> angles(gpu, std::vector<float>(static_cast<std::size_t>(c.tokens * c.channels), 0.5F));
  cuda::CachedAttentionCall call = {
      q.data(),    q.data(),   q.data(),  nullptr,    nullptr,  y.data(), angles.data(), angles.data(), position.data(),
      c.sequences, c.kv_heads, c.repeats, c.channels, c.tokens, 0,        0.01F,         nullptr,       nullptr};
  const cuda::AttentionSpace space(call);
  const Buffer<float> partials(gpu, static_cast<std::size_t>(space.partials));
  const Buffer<std::uint32_t> arrivals(gpu, std::vector<std::uint32_t>(static_cast<std::size_t>(space.arrivals), 0));
  call.partials = partials.data();
  call.arrivals = arrivals.data();
  const auto attend = [&] {
    for (int copy = 0; copy < copies; ++copy) {
      call.keys = keys.data() + c.side() * copy;
      call.values = values.data() + c.side() * copy;
      const cuda::Launch launch = gpu.launch(true);
      cuda::Library::call("attending", gpu.table().attend_cached, &call, &launch);
    }
  };
  attend();
  gpu.wait();
  const Graph graph(gpu, attend);
  Record record;
  record.text("case", c.name()).text("entrant", "attention to bfloat16");
  write_times(timed(graph, settings, copies), c.bytes(), copy_rate(gpu, settings), record, results);
}

// Kernels so short that launching them is most of it: fifty of each, one behind the other.
void measure_small(const Gpu& gpu, const Settings& settings, const std::string& name, Results& results) {
  const int times = settings.tiny ? 1 : 50;
  const int width = settings.tiny ? 64 : 4096;
  const int intermediate = settings.tiny ? 128 : 11008;
  const auto numbers = to_16_bits(make_input(intermediate, 8), true);
  const Buffer<std::uint16_t> a(gpu, numbers);
  const Buffer<std::uint16_t> b(gpu, numbers);
  const Buffer<std::uint16_t> y(gpu, numbers.size());
  const cuda::NormCall norm = {a.data(), b.data(), y.data(), 1, width, 1e-5F, nullptr};
  const cuda::GateCall gate = {a.data(), b.data(), y.data(), intermediate};
  const cuda::Launch launch = gpu.launch(true);
  const auto measure = [&](const char* entrant, double bytes, auto* kernel, const auto& call) {
    const auto all = [&] {
      for (int i = 0; i < times; ++i) cuda::Library::call("a kernel of a step", kernel, &call, &launch);
    };
    all();
    gpu.wait();
    const Graph graph(gpu, all);
    Record record;
    record.text("case", name).text("entrant", entrant);
    write_times(timed(graph, settings, times), bytes, copy_rate(gpu, settings), record, results);
  };
  measure("norm", 6.0 * width, gpu.table().norm_rows, norm);
  measure("gate", 6.0 * intermediate, gpu.table().gate_rows, gate);
}

constexpr const char* kSmall = "speed of a step's norm and gate";

}  // namespace

std::vector<std::string> step_speed_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const StepCase& c : all_shapes(settings)) names.push_back(speed_name(c));
  for (const CacheCase& c : cache_cases(settings.tiny)) names.push_back(c.name());
  names.emplace_back(kSmall);
  std::erase_if(names, [&](const std::string& name) { return !settings.admits(name); });
  return names;
}

void run_step_speed(const Gpu& gpu, const Settings& settings, Results& results) {
  Matrices matrices;
  for (const StepCase& c : all_shapes(settings)) {
    if (settings.admits(speed_name(c))) measure_step(gpu, settings, c, matrices, results);
  }
  for (const CacheCase& c : cache_cases(settings.tiny)) {
    if (settings.admits(c.name())) measure_cached(gpu, settings, c, results);
  }
  const std::string small = kSmall;
  if (settings.admits(small)) measure_small(gpu, settings, small, results);
}

}  // namespace lowbit::gpu_verify
