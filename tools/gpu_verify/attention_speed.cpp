#include <fmt/format.h>

#include <algorithm>

#include "attention.h"
#include "random_weights.h"
#include "stages.h"
#include "timing.h"

namespace lowbit::gpu_verify {

namespace {

struct Case {
  int sequences;
  int heads;    ///< of keys and values
  int repeats;  ///< query heads of each
  int channels;
  int bits;
  int tokens;

  [[nodiscard]] int rows() const { return sequences * heads; }
  [[nodiscard]] std::string name() const {
    return fmt::format("attention speed {}x{}x{} of {} {} bits {} tokens", sequences, heads, repeats, channels, bits,
                       tokens);
  }
};

// Random bits, of which every code is one.
std::vector<std::uint32_t> random_words() {
  std::mt19937_64 engine(9);
  std::vector<std::uint32_t> words(1 << 20);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(engine());
  return words;
}

// Keys or values of a batch, without the numbers that they came from.
class Cache {
 public:
  Cache(const Gpu& gpu, const Case& c, bool of_tokens)
      : words_(gpu, repeated(static_cast<std::size_t>(c.rows()) * static_cast<std::size_t>(c.tokens) *
                                 static_cast<std::size_t>(c.channels * c.bits / 32),
                             random_words())),
        scales_(gpu, repeated(scale_count(c.rows(), c.channels, c.tokens, of_tokens),
                              to_16_bits(make_input(1 << 20, 8), false))),
        minima_(gpu, scales_.read()),
        store_{words_.data(),
               scales_.data(),
               minima_.data(),
               nullptr,
               cuda::NumberKind::kFloat16,
               kernels::ScaleKind::kFloat16,
               c.bits,
               c.heads,
               c.channels,
               kCacheGroup,
               of_tokens ? 1 : 0,
               c.tokens,
               0,
               c.tokens} {}
  [[nodiscard]] const cuda::KvStore& store() const { return store_; }

 private:
  Buffer<std::uint32_t> words_;
  Buffer<std::uint16_t> scales_;
  Buffer<std::uint16_t> minima_;
  cuda::KvStore store_;
};

// Words, scales and minima of keys and values.
double cache_bytes(const Case& c) {
  const double words = static_cast<double>(c.rows()) * c.tokens * c.channels * c.bits / 8;
  const std::size_t scales =
      scale_count(c.rows(), c.channels, c.tokens, true) + scale_count(c.rows(), c.channels, c.tokens, false);
  return 2 * words + 4.0 * static_cast<double>(scales);
}

void measure_attention(const Gpu& gpu, const Settings& settings, const Case& c, Results& results) {
  const Cache keys(gpu, c, true);
  const Cache values(gpu, c, false);
  const std::int64_t units = cuda::attention_units(c.sequences, c.heads, c.repeats);
  const int splits = cuda::choose_attention_splits(units, c.tokens, gpu.facts().multiprocessors);
  const std::int64_t queries = std::int64_t{c.rows()} * c.repeats * c.channels;
  const Buffer<std::uint16_t> input(gpu, to_16_bits(make_input(queries, 7), false));
  const Buffer<std::uint16_t> output(gpu, static_cast<std::size_t>(queries));
  const Buffer<float> partials(
      gpu, static_cast<std::size_t>(cuda::attention_partial_floats(units, c.repeats, splits, c.channels)));
  const Buffer<std::uint32_t> arrivals(gpu, std::vector<std::uint32_t>(static_cast<std::size_t>(units), 0));
  const cuda::AttentionCall call = {keys.store(),
                                    values.store(),
                                    input.data(),
                                    output.data(),
                                    cuda::NumberKind::kFloat16,
                                    c.sequences,
                                    c.repeats,
                                    0,
                                    c.tokens,
                                    0.01F,
                                    splits,
                                    partials.data(),
                                    arrivals.data()};
  const Graph graph(gpu, [&] {
    const cuda::Launch launch = gpu.launch();
    cuda::Library::call("attending", gpu.table().attend, &call, &launch);
  });
  Record record;
  record.text("case", c.name()).text("entrant", "attention to codes").number("splits", splits);
  write_times(timed(graph, settings), cache_bytes(c), copy_rate(gpu, settings), record, results);
}

// Float16 numbers read once or twice, codes and scales written.
void measure_rounding(const Gpu& gpu, const Settings& settings, const Case& c, Results& results) {
  const Cache keys(gpu, c, true);
  const auto count = static_cast<std::size_t>(c.rows()) * static_cast<std::size_t>(c.tokens * c.channels);
  const Buffer<std::uint16_t> numbers(gpu, repeated(count, to_16_bits(make_input(1 << 20, 6), false)));
  const cuda::KvRoundCall call = {keys.store(), numbers.data(), cuda::NumberKind::kFloat16, c.sequences, c.tokens, 0};
  const Graph graph(gpu, [&] {
    const cuda::Launch launch = gpu.launch();
    cuda::Library::call("rounding tokens", gpu.table().round_tokens, &call, &launch);
  });
  Record record;
  record.text("case", c.name()).text("entrant", "keys rounded");
  const double bytes = 2.0 * static_cast<double>(count) + cache_bytes(c) / 2;
  write_times(timed(graph, settings), bytes, copy_rate(gpu, settings), record, results);
}

// Caches of 256 MiB and more, so that nothing of them is left in the GPU's own; then one long sequence.
std::vector<Case> chosen_cases(const Settings& settings) {
  std::vector<Case> cases = {{1, 2, 4, 64, 4, 64}};
  if (!settings.tiny) cases = {{64, 8, 4, 128, 4, 4096}, {128, 8, 4, 128, 2, 4096}, {1, 8, 4, 128, 4, 131072}};
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.name()); });
  return cases;
}

}  // namespace

std::vector<std::string> attention_speed_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const Case& c : chosen_cases(settings)) names.push_back(c.name());
  return names;
}

void run_attention_speed(const Gpu& gpu, const Settings& settings, Results& results) {
  for (const Case& c : chosen_cases(settings)) {
    measure_attention(gpu, settings, c, results);
    measure_rounding(gpu, settings, c, results);
  }
}

}  // namespace lowbit::gpu_verify
