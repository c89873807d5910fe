#include "step_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/cuda/step_dispatch.h"
#include "random_weights.h"

// Norm, rotation, gate and attention of a decode step against float64. The bounds are derived in
// tests/kernels/cuda/step_test.cpp and cached_attention_test.cpp; a GPU's exponential has twice their roundings.
namespace lowbit::gpu_verify {

namespace {

using Numbers = std::vector<std::uint16_t>;

constexpr double kRounding = 0x1p-8;  // what is rounded to bfloat16 once is off by at most this share of itself

Numbers random_numbers(std::int64_t count, std::uint64_t seed) { return to_16_bits(make_input(count, seed), true); }
double wide(std::uint16_t number) { return static_cast<double>(bfloat16_to_float(number)); }

/// The worst error in units of its bound; infinite when a number is none.
class Worst {
 public:
  void add(std::uint16_t found, double expected, double bound) {
    const double error = std::fabs(wide(found) - expected) / bound;
    if (!(error <= worst_)) worst_ = std::isnan(error) ? HUGE_VAL : error;
  }
  void write(const std::string& name, bool same, Results& results) const {
    Record record;
    record.text("case", name).number("error_of_bound", worst_).flag("same_bits_again", same);
    results.write_check(record, worst_ <= 1.0 && same);
  }

 private:
  double worst_ = 0;
};

/// Runs a kernel twice, by ordinary and by dependent launches, into output that holds no numbers before.
template <typename Call>
struct TwoRuns {
  Numbers first;
  Numbers again;
  TwoRuns(const Gpu& gpu, const Buffer<std::uint16_t>& output, const Numbers& before,
          bool (*kernel)(const Call*, const cuda::Launch*, cuda::Report*), const Call& call) {
    for (Numbers* found : {&first, &again}) {
      const Buffer<std::uint16_t> fresh(gpu, before);
      cuda::Library::call("filling memory", gpu.table().copy_within, output.data(), fresh.data(), before.size() * 2,
                          gpu.stream());
      const cuda::Launch launch = gpu.launch(found == &again);
      cuda::Library::call("a kernel of a step", kernel, &call, &launch);
      gpu.wait();
      *found = output.read();
    }
  }
  [[nodiscard]] bool same() const { return first == again; }
};

Numbers nothing(std::size_t count) { return Numbers(count, 0xFFFF); }

void check_norm(const Gpu& gpu, int rows, int width, const std::string& name, Results& results) {
  const Numbers input = random_numbers(std::int64_t{rows} * width, 1);
  const Numbers weight = random_numbers(width, 2);
  const Buffer<std::uint16_t> x(gpu, input);
  const Buffer<std::uint16_t> w(gpu, weight);
  const Buffer<std::uint16_t> y(gpu, input.size());
  const Buffer<std::int32_t> counter(gpu, std::vector<std::int32_t>{6});
  const cuda::NormCall call = {x.data(), w.data(), y.data(), rows, width, 1e-5F, counter.data()};
  const TwoRuns runs(gpu, y, nothing(input.size()), gpu.table().norm_rows, call);
  const auto columns = static_cast<std::size_t>(width);
  Worst worst;
  for (std::size_t row = 0; row < input.size(); row += columns) {
    double squares = 0;
    for (std::size_t i = 0; i < columns; ++i) squares += std::pow(wide(input[row + i]), 2);
    const double scale = 1 / std::sqrt(squares / width + static_cast<double>(1e-5F));
    for (std::size_t i = 0; i < columns; ++i) {
      const double expected = wide(input[row + i]) * scale * wide(weight[i]);
      worst.add(runs.first[row + i], expected, std::fabs(expected) * (kRounding + 32 * 0x1p-24) + 1e-37);
    }
  }
  worst.write(name, runs.same() && counter.read()[0] == 8, results);
}

void check_gate(const Gpu& gpu, int count, const std::string& name, Results& results) {
  Numbers gate = random_numbers(count, 3);
  gate[0] = float_to_bfloat16(-120.0F);  // whose exponential float32 does not hold
  const Numbers up = random_numbers(count, 4);
  const Buffer<std::uint16_t> a(gpu, gate);
  const Buffer<std::uint16_t> b(gpu, up);
  const Buffer<std::uint16_t> y(gpu, gate.size());
  const cuda::GateCall call = {a.data(), b.data(), y.data(), count};
  const TwoRuns runs(gpu, y, nothing(gate.size()), gpu.table().gate_rows, call);
  Worst worst;
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double expected = wide(gate[i]) / (1 + std::exp(-wide(gate[i]))) * wide(up[i]);
    worst.add(runs.first[i], expected, std::fabs(expected) * (kRounding + 0x1p-19) + 1e-37);
  }
  worst.write(name, runs.same(), results);
}

struct Attend {
  int sequences;
  int kv_heads;
  int repeats;
  int channels;
  int position;
  int window = 0;

  [[nodiscard]] int rows() const { return sequences * kv_heads; }
  [[nodiscard]] int capacity() const { return position + 7; }
  [[nodiscard]] int first() const { return window > 0 ? std::max(0, position + 1 - window) : 0; }
  [[nodiscard]] std::size_t newest(std::size_t row) const {
    return (row * static_cast<std::size_t>(capacity()) + static_cast<std::size_t>(position)) *
           static_cast<std::size_t>(channels);
  }
  [[nodiscard]] std::string name() const {
    return fmt::format("step attention {}x{}x{} of {} token {}{}", sequences, kv_heads, repeats, channels, position,
                       window > 0 ? fmt::format(" window {}", window) : "");
  }
};

// What attention reads and writes on the GPU, run twice.
struct Attended {
  Numbers queries, new_keys, new_values;
  Numbers keys, values;  // of the caches, before
  Numbers found, found_keys, found_values;
  bool same = false;

  Attended(const Gpu& gpu, const Attend& c, const std::vector<float>& cosines, const std::vector<float>& sines)
      : queries(random_numbers(std::int64_t{c.rows()} * c.repeats * c.channels, 10)),
        new_keys(random_numbers(std::int64_t{c.rows()} * c.channels, 13)),
        new_values(random_numbers(std::int64_t{c.rows()} * c.channels, 14)),
        keys(random_numbers(std::int64_t{c.rows()} * c.capacity() * c.channels, 11)),
        values(random_numbers(std::int64_t{c.rows()} * c.capacity() * c.channels, 12)) {
    const Buffer<std::uint16_t> q(gpu, queries), k(gpu, new_keys), v(gpu, new_values);
    const Buffer<std::uint16_t> key_cache(gpu, keys), value_cache(gpu, values), y(gpu, queries.size());
    const Buffer<float> cos(gpu, cosines), sin(gpu, sines);
    const Buffer<std::int32_t> position(gpu, std::vector<std::int32_t>{c.position});
    cuda::CachedAttentionCall call = {q.data(),   k.data(),   v.data(),   key_cache.data(), value_cache.data(),
                                      y.data(),   cos.data(), sin.data(), position.data(),  c.sequences,
                                      c.kv_heads, c.repeats,  c.channels, c.capacity(),     c.window,
                                      0.125F,     nullptr,    nullptr};
    const cuda::AttentionSpace space(call);
    const Buffer<float> partials(gpu, static_cast<std::size_t>(space.partials));
    const Buffer<std::uint32_t> arrivals(gpu, std::vector<std::uint32_t>(static_cast<std::size_t>(space.arrivals), 0));
    call.partials = partials.data();
    call.arrivals = arrivals.data();
    const TwoRuns runs(gpu, y, nothing(queries.size()), gpu.table().attend_cached, call);
    found = runs.first;
    same = runs.same();
    found_keys = key_cache.read();
    found_values = value_cache.read();
  }
};

// Of a head: its two halves turned into each other by the position's cosines and sines.
void add_turned(const Attend& c, const Numbers& from, std::size_t first, const std::vector<float>& cos,
                const std::vector<float>& sin, const Numbers& found, std::size_t at, Worst& worst) {
  const auto width = static_cast<std::size_t>(c.channels);
  const std::size_t place = static_cast<std::size_t>(c.position) * width;
  for (std::size_t i = 0; i < width; ++i) {
    const bool upper = i >= width / 2;
    const double other = wide(from[first + (upper ? i - width / 2 : i + width / 2)]) * (upper ? 1 : -1);
    const double a = wide(from[first + i]) * static_cast<double>(cos[place + i]);
    const double b = other * static_cast<double>(sin[place + i]);
    worst.add(found[at + i], a + b, std::fabs(a + b) * kRounding + (std::fabs(a) + std::fabs(b)) * 0x1p-22 + 1e-37);
  }
}

// Seen alone, the newest token's value is the output.
void check_rotation(const Gpu& gpu, const Attend& c, const std::string& name, Results& results) {
  const auto width = static_cast<std::size_t>(c.channels);
  const std::vector<float> cos = make_input(std::int64_t{c.capacity()} * c.channels, 8);
  const std::vector<float> sin = make_input(std::int64_t{c.capacity()} * c.channels, 9);
  const Attended run(gpu, c, cos, sin);
  Worst worst;
  Numbers keys = run.found_keys;
  Numbers values = run.found_values;
  bool appended = true;
  for (std::size_t row = 0; row < static_cast<std::size_t>(c.rows()); ++row) {
    const std::size_t at = c.newest(row);
    add_turned(c, run.new_keys, row * width, cos, sin, run.found_keys, at, worst);
    const auto value = [&](const Numbers& of, std::size_t first) {
      const auto begin = of.begin() + static_cast<std::ptrdiff_t>(first);
      return Numbers(begin, begin + static_cast<std::ptrdiff_t>(width));
    };
    appended = appended && value(values, at) == value(run.new_values, row * width);
    for (std::size_t h = 0; h < static_cast<std::size_t>(c.repeats); ++h) {
      const std::size_t query = (row * static_cast<std::size_t>(c.repeats) + h) * width;
      appended = appended && value(run.found, query) == value(run.new_values, row * width);
    }
    std::copy_n(run.keys.begin() + static_cast<std::ptrdiff_t>(at), width,
                keys.begin() + static_cast<std::ptrdiff_t>(at));
    std::copy_n(run.values.begin() + static_cast<std::ptrdiff_t>(at), width,
                values.begin() + static_cast<std::ptrdiff_t>(at));
  }
  const bool rest_kept = keys == run.keys && values == run.values;
  worst.write(name, run.same && appended && rest_kept, results);
}

void add_attended(const Attend& c, int capacity, const Numbers& queries, const Numbers& keys, const Numbers& values,
                  const Numbers& found, std::size_t query, Worst& worst) {
  const auto width = static_cast<std::size_t>(c.channels);
  const std::size_t row = query / static_cast<std::size_t>(c.repeats) * static_cast<std::size_t>(capacity);
  std::vector<double> weights;
  double off = 0;
  double largest = 0;
  for (int t = c.first(); t <= c.position; ++t) {
    const std::size_t at = (row + static_cast<std::size_t>(t)) * width;
    double score = 0;
    double magnitude = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const double term = wide(queries[query * width + i]) * wide(keys[at + i]);
      score += term;
      magnitude += std::fabs(term);
      largest = std::max(largest, std::fabs(wide(values[at + i])));
    }
    weights.push_back(0.125 * score);
    off = std::max(off, 0.125 * magnitude * (c.channels + 2) * 0x1p-24);
  }
  const double top = *std::ranges::max_element(weights);
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - top);
  const double bound = (2 * std::expm1(2 * off) + (static_cast<double>(weights.size()) + 8) * 0x1p-19) * largest;
  for (std::size_t i = 0; i < width; ++i) {
    double sum = 0;
    for (std::size_t t = 0; t < weights.size(); ++t) {
      sum += weights[t] * wide(values[(row + static_cast<std::size_t>(c.first()) + t) * width + i]);
    }
    worst.add(found[query * width + i], sum / total, bound + std::fabs(sum / total) * kRounding);
  }
}

// By a position that turns nothing.
void check_attention(const Gpu& gpu, const Attend& c, const std::string& name, Results& results) {
  const auto angles = static_cast<std::size_t>(c.capacity()) * static_cast<std::size_t>(c.channels);
  const Attended run(gpu, c, std::vector<float>(angles, 1.0F), std::vector<float>(angles, 0.0F));
  Worst worst;
  for (std::size_t query = 0; query < run.queries.size() / static_cast<std::size_t>(c.channels); ++query) {
    add_attended(c, c.capacity(), run.queries, run.found_keys, run.found_values, run.found, query, worst);
  }
  worst.write(name, run.same, results);
}

}  // namespace

std::vector<StepKernelCase> step_kernel_cases(bool tiny) {
  std::vector<StepKernelCase> cases;
  for (const int width : tiny ? std::vector{72} : std::vector{64, 576, 4096, 4104}) {
    cases.push_back(
        {fmt::format("step norm 3x{}", width),
         [=](const Gpu& gpu, const std::string& name, Results& results) { check_norm(gpu, 3, width, name, results); }});
  }
  for (const int count : tiny ? std::vector{1100} : std::vector{1100, 3 * 11008}) {
    cases.push_back(
        {fmt::format("step gate {}", count),
         [=](const Gpu& gpu, const std::string& name, Results& results) { check_gate(gpu, count, name, results); }});
  }
  for (const int channels : tiny ? std::vector{24} : std::vector{24, 64, 128, 256}) {
    cases.push_back(
        {fmt::format("step rotation of {}", channels), [=](const Gpu& gpu, const std::string& name, Results& results) {
           check_rotation(gpu, {2, 2, 5, channels, 70, 1}, name, results);
         }});
  }
  std::vector<Attend> attentions = {{1, 2, 3, 80, 100}, {1, 1, 1, 64, 70, 20}};
  if (!tiny) {
    attentions.insert(
        attentions.end(),
        {{2, 8, 4, 128, 4095}, {1, 32, 1, 128, 511}, {1, 1, 8, 256, 5000}, {3, 2, 4, 64, 300, 130}, {1, 1, 1, 8, 0}});
  }
  for (const Attend& c : attentions) {
    cases.push_back({c.name(), [=](const Gpu& gpu, const std::string& name, Results& results) {
                       check_attention(gpu, c, name, results);
                     }});
  }
  return cases;
}

}  // namespace lowbit::gpu_verify
