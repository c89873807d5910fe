#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention.h"
#include "random_weights.h"
#include "stages.h"

namespace lowbit::gpu_verify {

namespace {

struct Case {
  int sequences;
  int heads;
  int repeats;
  int channels;
  int key_bits;
  int value_bits;
  int length;
  int splits;

  [[nodiscard]] std::string name() const {
    return fmt::format("attention {}x{}x{} of {} K{} V{} {} tokens splits{}", sequences, heads, repeats, channels,
                       key_bits, value_bits, length, splits);
  }
  [[nodiscard]] std::size_t numbers(int tokens) const {
    return static_cast<std::size_t>(sequences * heads * tokens) * static_cast<std::size_t>(channels);
  }
};

constexpr float kScale = 0.125F;
constexpr int kGroup = kCacheGroup;

// One side of the cache on the GPU; all its tokens are rounded.
class Side {
 public:
  Side(const Gpu& gpu, const Case& c, int bits, bool of_tokens, std::uint64_t seed)
      : gpu_(gpu),
        capacity_((c.length + kGroup - 1) / kGroup * kGroup),
        numbers_(gpu, make_input(static_cast<std::int64_t>(c.numbers(capacity_)), seed)),
        words_(gpu, c.numbers(capacity_) * static_cast<std::size_t>(bits) / 32),
        scales_(gpu, scale_count(c.sequences * c.heads, c.channels, capacity_, of_tokens)),
        minima_(gpu, scale_count(c.sequences * c.heads, c.channels, capacity_, of_tokens)) {
    store_ = {words_.data(),
              scales_.data(),
              minima_.data(),
              nullptr,
              cuda::NumberKind::kFloat32,
              kernels::ScaleKind::kFloat16,
              bits,
              c.heads,
              c.channels,
              kGroup,
              of_tokens ? 1 : 0,
              capacity_,
              0,
              capacity_};
    const cuda::KvRoundCall call = {store_, numbers_.data(), cuda::NumberKind::kFloat32, c.sequences, capacity_, 0};
    const cuda::Launch launch = gpu.launch();
    cuda::Library::call("rounding tokens", gpu.table().round_tokens, &call, &launch);
  }
  [[nodiscard]] const cuda::KvStore& store() const { return store_; }

  // What was rounded, in main memory.
  void fetch() {
    gpu_.wait();
    here_words_ = words_.read();
    here_scales_ = scales_.read();
    here_minima_ = minima_.read();
    here_ = store_;
    here_.words = here_words_.data();
    here_.scales = here_scales_.data();
    here_.minima = here_minima_.data();
    here_numbers_ = numbers_.read();
  }
  [[nodiscard]] float value(int row, int token, int channel) const { return here_.value(row, token, channel); }
  // What code scale + minimum is the sum of, in magnitude.
  [[nodiscard]] double magnitude(int row, int token, int channel) const {
    const double minimum = static_cast<double>(here_.number(here_.minima, here_.scale_at(row, token, channel)));
    return std::fabs(static_cast<double>(value(row, token, channel)) - minimum) + std::fabs(minimum);
  }
  // The worst distance of a number from what it was rounded to, in steps of its group: at most a half, and what float16
  // takes off the scale and the minimum.
  [[nodiscard]] double worst_step(const Case& c) const {
    double worst = 0;
    for (std::size_t i = 0; i < here_numbers_.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const auto row = static_cast<int>(at / c.channels / capacity_);
      const auto token = static_cast<int>(at / c.channels % capacity_);
      const auto channel = static_cast<int>(at % c.channels);
      const double scale = static_cast<double>(here_.number(here_.scales, here_.scale_at(row, token, channel)));
      const double off =
          std::fabs(static_cast<double>(here_numbers_[i]) - static_cast<double>(value(row, token, channel)));
      worst = std::max(worst, off / scale);
    }
    return worst;
  }

 private:
  const Gpu& gpu_;
  int capacity_;
  Buffer<float> numbers_;
  Buffer<std::uint32_t> words_;
  Buffer<std::uint16_t> scales_;
  Buffer<std::uint16_t> minima_;
  cuda::KvStore store_{};
  cuda::KvStore here_{};
  std::vector<std::uint32_t> here_words_;
  std::vector<std::uint16_t> here_scales_, here_minima_;
  std::vector<float> here_numbers_;
};

std::vector<float> attend(const Gpu& gpu, const Case& c, const Side& keys, const Side& values,
                          const std::vector<float>& queries, bool dependent) {
  const std::int64_t units = cuda::attention_units(c.sequences, c.heads, c.repeats);
  const Buffer<float> input(gpu, queries);
  const Buffer<float> output(gpu, std::vector<float>(queries.size(), std::nanf("")));
  const Buffer<float> partials(
      gpu, static_cast<std::size_t>(cuda::attention_partial_floats(units, c.repeats, c.splits, c.channels)));
  const Buffer<std::uint32_t> arrivals(gpu, std::vector<std::uint32_t>(static_cast<std::size_t>(units), 0));
  const cuda::AttentionCall call = {keys.store(),
                                    values.store(),
                                    input.data(),
                                    output.data(),
                                    cuda::NumberKind::kFloat32,
                                    c.sequences,
                                    c.repeats,
                                    0,
                                    c.length,
                                    kScale,
                                    c.splits,
                                    partials.data(),
                                    arrivals.data()};
  const cuda::Launch launch = gpu.launch(dependent);
  cuda::Library::call("attending", gpu.table().attend, &call, &launch);
  gpu.wait();
  return output.read();
}

// Of one query: scores, weights and sums in float64; the bound is derived in tests/kernels/cuda/attention_test.cpp,
// with twice its roundings for what a GPU's exponential may lose.
double worst_error(const Case& c, const Side& keys, const Side& values, const float* query, const float* found,
                   int row) {
  std::vector<double> weights;
  double off = 0;
  double largest = 0;
  for (int t = 0; t < c.length; ++t) {
    double score = 0;
    double magnitude = 0;
    for (int ch = 0; ch < c.channels; ++ch) {
      const double term = static_cast<double>(query[ch]) * static_cast<double>(keys.value(row, t, ch));
      score += term;
      magnitude += std::fabs(static_cast<double>(query[ch])) * keys.magnitude(row, t, ch);
      largest = std::max(largest, values.magnitude(row, t, ch));
    }
    weights.push_back(static_cast<double>(kScale) * score);
    off = std::max(off, static_cast<double>(kScale) * magnitude * (c.channels + 4) * 0x1p-24);
  }
  const double top = *std::ranges::max_element(weights);
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - top);
  const double bound = (2 * std::expm1(2 * off) + (c.length + 8) * 0x1p-19) * largest;
  double worst = 0;
  for (int ch = 0; ch < c.channels; ++ch) {
    double sum = 0;
    for (int t = 0; t < c.length; ++t) {
      sum += weights[static_cast<std::size_t>(t)] * static_cast<double>(values.value(row, t, ch));
    }
    const double error = std::fabs(static_cast<double>(found[ch]) - sum / total) / bound;
    worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
  }
  return worst;
}

std::vector<Case> chosen_cases(const Settings& settings) {
  std::vector<Case> cases = {{1, 2, 3, 64, 2, 4, 40, 1}, {2, 1, 5, 80, 8, 2, 70, 3}, {1, 1, 1, 32, 4, 8, 150, 2}};
  if (!settings.tiny) {
    cases.push_back({2, 8, 4, 128, 4, 4, 1000, 8});
    cases.push_back({1, 4, 8, 256, 2, 2, 333, 2});
    cases.push_back({1, 2, 1, 128, 8, 8, 3000, 16});
    cases.push_back({3, 2, 4, 72, 4, 4, 500, 3});
  }
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.name()); });
  return cases;
}

}  // namespace

std::vector<std::string> attention_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const Case& c : chosen_cases(settings)) names.push_back(c.name());
  return names;
}

void run_attention(const Gpu& gpu, const Settings& settings, Results& results) {
  for (const Case& c : chosen_cases(settings)) {
    Side keys(gpu, c, c.key_bits, true, 5);
    Side values(gpu, c, c.value_bits, false, 6);
    const std::size_t width = static_cast<std::size_t>(c.channels);
    const std::vector<float> queries = make_input(static_cast<std::int64_t>(c.numbers(1)) * c.repeats, 7);
    const std::vector<float> found = attend(gpu, c, keys, values, queries, false);
    const std::vector<float> again = attend(gpu, c, keys, values, queries, true);
    keys.fetch();
    values.fetch();
    double worst = 0;
    for (std::size_t query = 0; query < queries.size() / width; ++query) {
      worst = std::max(worst, worst_error(c, keys, values, queries.data() + query * width, found.data() + query * width,
                                          static_cast<int>(query) / c.repeats));
    }
    const double step = std::max(keys.worst_step(c), values.worst_step(c));
    const bool same = std::memcmp(found.data(), again.data(), found.size() * sizeof(float)) == 0;
    Record record;
    record.text("case", c.name()).number("error_of_bound", worst).number("rounding_steps", step);
    record.flag("same_bits_again", same);
    // Half a step, and 2^-11 of up to 255 steps for the scale and of a minimum that is as large.
    results.write_check(record, worst <= 1.0 && step <= 0.5 + 2 * 255 * 0x1p-11 && same);
  }
}

}  // namespace lowbit::gpu_verify
