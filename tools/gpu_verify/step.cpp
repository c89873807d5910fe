#include <fmt/format.h>

#include <cmath>
#include <deque>

#include "contest.h"
#include "random_weights.h"
#include "stages.h"
#include "step_kernels.h"
#include "step_reference.h"

namespace lowbit::gpu_verify {

namespace {

// Sizes that no kernel divides evenly, several parts of attention, groups of query heads, windows and biases.
std::vector<StepCase> whole_cases(const StepWeights& weights, bool tiny) {
  std::vector<StepCase> cases = {{{3, 96, 120, 6, 2, 16, 80, 0, 1e-5F}, 2, true, 70, weights}};
  if (tiny) return cases;
  cases.push_back({{1, 576, 1536, 9, 3, 64, 700, 0, 1e-5F}, 2, false, 640, weights});
  cases.push_back({{9, 256, 712, 8, 2, 32, 300, 100, 1e-6F}, 1, true, 260, weights});
  cases.push_back({{20, 128, 256, 4, 4, 32, 70, 0, 1e-5F}, 1, false, 0, weights});
  return cases;
}
constexpr StepWeights kHalves = {4, 32, false};

// Those that no GPU has run yet: their kernels have, one by one.
std::vector<StepCase> unproven_cases(bool tiny) {
  std::vector<StepCase> cases = whole_cases({4, 32, true}, tiny);
  for (const StepCase& c : whole_cases({8, 0, true}, tiny)) cases.push_back(c);
  return cases;
}

// A model with its weights as they were before packing.
struct Whole {
  std::deque<UnpackedWeight> weights;
  std::deque<cuda::Packed> packed;
  std::vector<StepReference::Weights> references;
  std::vector<StepModel::Products> products;

  explicit Whole(const StepCase& c) {
    for (int block = 0; block < c.blocks; ++block) {
      StepReference::Weights reference{};
      StepModel::Products product{};
      for (std::size_t i = 0; i < product.size(); ++i) {
        const auto [rows, columns] = c.products()[i];
        const std::int64_t group = c.weights.group > 0 ? c.weights.group : columns;
        const WeightCase weight = {rows, columns, group, c.weights.bits, false};
        weights.push_back(make_weight(weight, 50 + static_cast<std::uint64_t>(block) * 7 + i));
        // So small that a block's output is of the size of its input.
        for (float& scale : weights.back().scales) {
          scale = half_to_float(float_to_half(scale / std::sqrt(static_cast<float>(columns)) * 4.0F));
        }
        packed.push_back(cuda::pack(kernels::PackedWeight::pack(weights.back().view())));
        reference[i] = &weights.back();
        product[i] = &packed.back();
      }
      references.push_back(reference);
      products.push_back(product);
    }
  }
};

// What a replay leaves: the output, and the key and the value that it appended.
struct Outcome {
  std::vector<std::uint16_t> normalised, hidden, keys, values;
  explicit Outcome(const StepModel& model)
      : normalised(model.normalised()), hidden(model.hidden()), keys(model.keys(0)), values(model.values(0)) {}
  bool operator==(const Outcome&) const = default;
};

// A block rounds at nine places by at most 2^-9 of what is rounded, and each is multiplied by what comes behind it; a
// kernel that does not do what it should is off by about as much as the numbers are.
constexpr double kMostOff = 0.05;

double distance(const std::vector<std::uint16_t>& found, const std::vector<double>& expected) {
  double off = 0;
  double size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    off += std::pow(static_cast<double>(bfloat16_to_float(found[i])) - expected[i], 2);
    size += expected[i] * expected[i];
  }
  return std::sqrt(off / size);
}

void check_whole(const Gpu& gpu, const StepCase& c, Results& results) {
  const Whole whole(c);
  const StepModel model(gpu, c, whole.products);
  model.begin();
  model.launch();
  gpu.wait();
  const Outcome launched(model);
  const double off = distance(launched.normalised, StepReference(model, whole.references).normalised());
  const Graph graph(gpu, [&] { model.launch(); });
  model.begin();
  graph.launch();
  gpu.wait();
  const bool same = Outcome(model) == launched;
  const bool advanced = model.position() == c.position + 1;
  Record record;
  record.text("case", c.name()).number("off", off).flag("same_bits_by_graph", same).flag("position_advanced", advanced);
  results.write_check(record, off <= kMostOff && same && advanced);
}

// Three matrices of one input, each of which has the bits that it has alone.
void check_together(const Gpu& gpu, const std::string& name, int tokens, Results& results) {
  constexpr int kColumns = 1056;
  const int rows[] = {40, 7, 333};
  const Buffer<std::uint16_t> input(gpu, to_16_bits(make_input(tokens * kColumns, 5), true));
  std::deque<Weights> weights;
  std::deque<Buffer<float>> outputs;
  cuda::HalfProduct products[3];
  const Buffer<float> partials(gpu, static_cast<std::size_t>(2 * tokens * 7));
  const Buffer<std::uint32_t> arrivals(gpu, std::vector<std::uint32_t>(64, 0));
  for (std::size_t i = 0; i < 3; ++i) {
    weights.emplace_back(gpu, cuda::pack(pack_for_cpu({rows[i], kColumns, 128, 4, false}, i)), 1);
    const auto count = static_cast<std::size_t>(tokens * rows[i]);
    outputs.emplace_back(gpu, std::vector<float>(count, std::nanf("")));
    const bool splits = rows[i] == 7;
    products[i] = {weights[i].matrix(0),
                   input.data(),
                   kColumns,
                   kColumns,
                   tokens,
                   true,
                   {outputs[i].data(), rows[i], cuda::NumberKind::kFloat32, nullptr, nullptr, 0},
                   splits ? 2 : 1,
                   splits ? partials.data() : nullptr,
                   splits ? arrivals.data() : nullptr};
  }
  const cuda::Launch launch = gpu.launch(true);
  cuda::Library::call("multiplying together", gpu.table().multiply_together, products, 3, &launch);
  gpu.wait();
  bool same = true;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::vector<float> together = outputs[i].read();
    cuda::Library::call("multiplying", gpu.table().half_product, cuda::HalfKernel::kSkinny, cuda::NumberKind::kBFloat16,
                        &products[i], &launch);
    gpu.wait();
    same = same && outputs[i].read() == together;
  }
  results.write_check(Record().text("case", name).flag("same_bits_as_alone", same), same);
}

// silu(gate) times up of the sums that each product gives alone: off by one rounding to bfloat16 and those of the gate,
// whose exponential is within four units of 2^-23.
void check_gated(const Gpu& gpu, const std::string& name, int tokens, Results& results) {
  constexpr int kColumns = 1056;
  constexpr int kRows = 333;
  const Buffer<std::uint16_t> input(gpu, to_16_bits(make_input(tokens * kColumns, 5), true));
  const auto count = static_cast<std::size_t>(tokens * kRows);
  std::deque<Weights> weights;
  std::deque<Buffer<float>> sums;
  cuda::HalfProduct products[2];
  const cuda::Launch launch = gpu.launch(true);
  for (std::size_t i = 0; i < 2; ++i) {
    weights.emplace_back(gpu, cuda::pack(pack_for_cpu({kRows, kColumns, 128, 4, false}, i)), 1);
    sums.emplace_back(gpu, std::vector<float>(count, std::nanf("")));
    const cuda::Target target = {sums[i].data(), kRows, cuda::NumberKind::kFloat32, nullptr, nullptr, 0};
    products[i] = {weights[i].matrix(0), input.data(), kColumns, kColumns, tokens, true, target, 1, nullptr, nullptr};
    cuda::Library::call("multiplying", gpu.table().half_product, cuda::HalfKernel::kSkinny, cuda::NumberKind::kBFloat16,
                        &products[i], &launch);
  }
  const Buffer<std::uint16_t> output(gpu, std::vector<std::uint16_t>(count, 0xFFFF));
  cuda::GatedCall call = {products[0], products[1]};
  call.gate.output = {output.data(), kRows, cuda::NumberKind::kBFloat16, nullptr, nullptr, 0};
  cuda::Library::call("multiplying and gating", gpu.table().multiply_gated, &call, &launch);
  gpu.wait();
  const std::vector<std::uint16_t> found = output.read();
  const std::vector<float> gate = sums[0].read();
  const std::vector<float> up = sums[1].read();
  double worst = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = static_cast<double>(gate[i]);
    const double expected = x / (1 + std::exp(-x)) * static_cast<double>(up[i]);
    const double bound = std::fabs(expected) * (0x1p-8 + 0x1p-19) + 1e-37;
    const double error = std::fabs(static_cast<double>(bfloat16_to_float(found[i])) - expected) / bound;
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  }
  results.write_check(Record().text("case", name).number("error_of_bound", worst), worst <= 1.0);
}

std::vector<StepKernelCase> chosen_cases(const Settings& settings) {
  std::vector<StepKernelCase> cases;
  std::vector<StepCase> whole = whole_cases(kHalves, settings.tiny);
  if (settings.unproven) {
    whole = unproven_cases(settings.tiny);
  } else {
    cases = step_kernel_cases(settings.tiny);
  }
  for (const int tokens : settings.tiny ? std::vector{3} : std::vector{1, 9, 40}) {
    if (settings.unproven) break;
    cases.push_back(
        {fmt::format("step together M{}", tokens), [=](const Gpu& gpu, const std::string& name, Results& results) {
           check_together(gpu, name, tokens, results);
         }});
    cases.push_back(
        {fmt::format("step gated M{}", tokens),
         [=](const Gpu& gpu, const std::string& name, Results& results) { check_gated(gpu, name, tokens, results); }});
  }
  for (const StepCase& c : whole) {
    cases.push_back(
        {c.name(), [=](const Gpu& gpu, const std::string&, Results& results) { check_whole(gpu, c, results); }});
  }
  std::erase_if(cases, [&](const StepKernelCase& c) { return !settings.admits(c.name); });
  return cases;
}

}  // namespace

std::vector<std::string> step_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const StepKernelCase& c : chosen_cases(settings)) names.push_back(c.name);
  return names;
}

void run_step(const Gpu& gpu, const Settings& settings, Results& results) {
  for (const StepKernelCase& c : chosen_cases(settings)) c.run(gpu, c.name, results);
}

void run_step_repetition(const Gpu& gpu, int times, Results& results) {
  const StepCase c = whole_cases(kHalves, true).front();
  const Whole whole(c);
  const StepModel model(gpu, c, whole.products);
  model.launch();  // what is loaded at a first call must not be recorded
  gpu.wait();
  const Graph graph(gpu, [&] { model.launch(); });
  std::optional<Outcome> first;
  int others = 0;
  for (int i = 0; i < times; ++i) {
    model.begin();
    graph.launch();
    gpu.wait();
    if (!first) {
      first.emplace(model);
    } else if (!(Outcome(model) == *first)) {
      ++others;
    }
  }
  Record record;
  record.text("case", fmt::format("{} replays of a step", times)).number("other_bits", others);
  results.write_check(record, others == 0);
}

}  // namespace lowbit::gpu_verify
