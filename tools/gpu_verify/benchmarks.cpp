#include <fmt/format.h>

#include <optional>

#include "contest.h"
#include "random_weights.h"
#include "stages.h"

namespace lowbit::gpu_verify {

namespace {

constexpr double kRotationBytes = 256.0 * (1 << 20);

struct Case {
  Shape shape;
  int tokens;
  [[nodiscard]] std::string name() const { return fmt::format("{}x{} M{}", shape.columns, shape.rows, tokens); }
};

// Headline cases first: a machine may be taken back at any time.
std::vector<Case> all_cases(bool tiny) {
  if (tiny) return {{{256, 128}, 1}, {{256, 128}, 40}, {{256, 128}, 130}};
  std::vector<Case> cases;
  for (const int tokens : {1, 16, 64, 1024, 8192}) cases.push_back({{4096, 11008}, tokens});
  for (const int tokens : {1, 16}) cases.push_back({{4096, 4096}, tokens});
  for (const int tokens : {1, 16, 64, 256}) cases.push_back({{11008, 4096}, tokens});
  for (const int tokens : {4, 8, 32, 128, 256}) cases.push_back({{4096, 11008}, tokens});
  for (const int tokens : {1, 16}) cases.push_back({{576, 192}, tokens});
  return cases;
}

std::vector<Case> chosen_cases(const Settings& settings) {
  std::vector<Case> cases = all_cases(settings.tiny);
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.name()); });
  return cases;
}

// Products of bytes with their parts in front, as a model has them, and without, as cuBLASLt's is; to bfloat16 too, as
// products of bfloat16 are.
void add_ours_for_hopper(Contest& contest, const Case& c) {
  if (c.tokens < 16) return;
  const std::int64_t group = c.shape.columns % 128 == 0 ? 128 : 64;
  contest.add_half(4, group, cuda::HalfKernel::kHopper);
  contest.add_half(4, group, cuda::HalfKernel::kHopperSliced);
  if (c.tokens > 64) contest.add_half(4, group, cuda::HalfKernel::kHopperRounded);
  for (const bool with_rounding : {false, true}) {
    contest.add_integer(8, c.shape.columns, 1, with_rounding, IntegerKernel::kHopper);
  }
  contest.add_integer(8, c.shape.columns, 1, false, IntegerKernel::kHopper, cuda::NumberKind::kBFloat16);
}

void add_unproven(Contest& contest, const Case& c, bool is_hopper) {
  if (is_hopper && c.tokens >= 16) {
    for (const bool with_rounding : {false, true}) contest.add_float8(with_rounding);
  }
  if (c.tokens <= 128) return;
  const std::int64_t group = c.shape.columns % 128 == 0 ? 128 : 64;
  contest.add_integer(4, group, 1, true, IntegerKernel::kTiled);
  if (!is_hopper) return;
  contest.add_half(4, group, cuda::HalfKernel::kHopperRoundedTurns);
  for (const auto kind : {cuda::NumberKind::kFloat32, cuda::NumberKind::kBFloat16}) {
    contest.add_integer(8, c.shape.columns, 1, false, IntegerKernel::kHopperTurns, kind);
  }
}

void add_ours(Contest& contest, const Case& c) {
  const std::int64_t group = c.shape.columns % 128 == 0 ? 128 : 64;
  if (c.tokens <= 128) {
    for (const int bits : {4, 2, 3, 8}) contest.add_half(bits, group, cuda::HalfKernel::kSkinny);
    for (const int bits : {4, 8}) contest.add_half(bits, group, cuda::HalfKernel::kSkinny, true);
    contest.add_integer(4, group, 2, true);
  }
  if (c.tokens >= 64) contest.add_half(4, group, cuda::HalfKernel::kTiled);
  contest.add_integer(8, c.shape.columns, 1, true);
  contest.add_integer(4, group, 1, true);
}

}  // namespace

std::vector<std::string> benchmark_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const Case& c : chosen_cases(settings)) names.push_back(c.name());
  for (const std::string& name : step_speed_cases(settings)) names.push_back(name);
  for (const std::string& name : attention_speed_cases(settings)) names.push_back(name);
  if (settings.unproven) {
    for (const std::string& name : columns_speed_cases(settings)) names.push_back(name);
  }
  return names;
}

void run_benchmarks(const Gpu& gpu, const Settings& settings, Results& results) {
  std::optional<Cublas> cublas;
  std::optional<CublasLt> cublaslt;
  if (!settings.cublas.empty()) {
    cublas.emplace(gpu, settings.cublas);
    cublaslt.emplace(gpu, settings.cublas);
  }
  Matrices matrices;
  for (const Case& c : chosen_cases(settings)) {
    Contest contest(gpu, c.shape, c.tokens, matrices, settings.tiny ? 1.0 : kRotationBytes, settings);
    add_ours(contest, c);
    if (settings.hopper && gpu.facts().major == 9) add_ours_for_hopper(contest, c);
    if (settings.unproven) add_unproven(contest, c, gpu.facts().major == 9);
    if (cublas) {
      contest.add_rival(*cublas, RivalKind::kFloat16);
      contest.add_rival(*cublas, RivalKind::kBFloat16);
      contest.add_rival(*cublas, RivalKind::kInt8);
      for (const LtKind kind : {LtKind::kInt8, LtKind::kFp8, LtKind::kFp8Rows})
        contest.add_rival(*cublaslt, kind, c.name(), results);
      if (c.tokens >= 256) contest.add_expanded(*cublas, 4, c.shape.columns % 128 == 0 ? 128 : 64);
    }
    contest.run(settings.repetitions, c.name(), results);
  }
  run_step_speed(gpu, settings, results);
  run_attention_speed(gpu, settings, results);
  if (settings.unproven) run_columns_speed(gpu, settings, results);
}

void run_smoke(const Gpu& gpu, const Settings& settings, Results& results) {
  const cuda::Device& facts = gpu.facts();
  Record device;
  device.text("case", "device")
      .text("name", facts.name)
      .number("capability", facts.major + facts.minor / 10.0)
      .number("multiprocessors", facts.multiprocessors)
      .number("l2_bytes", facts.l2_bytes)
      .number("bytes", static_cast<double>(facts.bytes))
      .number("free", static_cast<double>(facts.free));
  for (int bits = 0; bits < 4; ++bits) {
    device.number(fmt::format("clusters_of_{}", 1 << bits), gpu.clusters().held[bits]);
  }
  results.write(device);
  // Expanding 8-bit weights writes two bytes for each that it reads: a rate of memory that our own code reaches.
  const Shape shape = settings.tiny ? Shape{512, 512} : Shape{8192, 8192};
  const Weights weights(gpu, cuda::pack(pack_for_cpu({shape.rows, shape.columns, 128, 8}, 1), all_threads()), 1);
  const auto count = static_cast<std::size_t>(shape.rows * shape.columns);
  const Buffer<std::uint16_t> expanded(gpu, count);
  const Buffer<std::uint8_t> copied(gpu, 2 * count);
  const auto timed = [&](const char* name, double bytes, const std::function<void()>& work) {
    const Graph graph(gpu, work);
    double best = graph.milliseconds();
    for (int i = 0; i < settings.repetitions; ++i) best = std::min(best, graph.milliseconds());
    results.write(Record().text("case", name).number("least_us", best * 1e3).number("gb_per_s", bytes / best / 1e6));
  };
  timed("expand 8 bits to float16, bytes read and written", 3.0 * static_cast<double>(count), [&] {
    const cuda::ExpandCall call = {weights.matrix(0), nullptr, expanded.data(), shape.columns};
    const cuda::Launch launch = gpu.launch();
    cuda::Library::call("expanding", gpu.table().expand, cuda::NumberKind::kFloat16, &call, &launch);
  });
  timed("copy within the GPU, bytes read and written", 4.0 * static_cast<double>(count), [&] {
    cuda::Library::call("copying", gpu.table().copy_within, copied.data(), expanded.data(), 2 * count, gpu.stream());
  });
}

namespace {

void profile_halves(const Gpu& gpu, const Weights& weights, const std::vector<std::uint16_t>& input, int tokens,
                    bool hopper) {
  const auto run = [&](cuda::HalfKernel kernel) {
    const HalfRunner runner(gpu, weights, cuda::NumberKind::kFloat16, input, tokens, kernel);
    runner.run(0);
    gpu.wait();
  };
  if (tokens <= 64) run(cuda::HalfKernel::kSkinny);
  if (weights.shape().bits != 4) return;
  if (tokens >= 64) run(cuda::HalfKernel::kTiled);
  if (tokens < 16 || !hopper) return;
  run(cuda::HalfKernel::kHopper);
  if (tokens <= cuda::kMostSlicedTokens) run(cuda::HalfKernel::kHopperSliced);
  if (tokens > 64) run(cuda::HalfKernel::kHopperRounded);
}

}  // namespace

void run_profile(const Gpu& gpu, const Settings& settings, Results& results) {
  const Shape shape = settings.tiny ? Shape{256, 128} : Shape{4096, 11008};
  Matrices matrices;
  for (const int tokens : {1, 16, 64, 1024}) {
    if (settings.tiny && tokens > 64) break;
    const std::vector<float> input = make_input(tokens * shape.columns, 3);
    for (const int bits : {4, 2}) {
      const Weights weights(gpu, matrices.get(shape, bits, 128), 1);
      profile_halves(gpu, weights, to_16_bits(input, false), tokens, settings.hopper && gpu.facts().major == 9);
      const IntegerRunner integers(gpu, weights, 1, input, tokens);
      integers.quantize(0);
      integers.multiply(0);
      gpu.wait();
    }
    results.write(Record().text("case", fmt::format("profiled M{}", tokens)));
  }
}

}  // namespace lowbit::gpu_verify
