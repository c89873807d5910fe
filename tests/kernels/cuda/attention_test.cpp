#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "../guarded.h"
#include "emulator.h"
#include "kernels/cuda/attention_dispatch.h"
#include "kernels/cuda/kv_round.h"
#include "lowbit/base/random.h"

// The kernels of caches and attention on the model of a GPU: codes against the definition, attention against float64.
namespace lowbit::kernels::cuda {
namespace {

using kernels::testing::Guarded;
using testing::EmulatedThread;

struct Form {
  int bits;
  int group;
  bool of_tokens;
  bool symmetric = false;
  ScaleKind scales = ScaleKind::kFloat16;
};

struct Places {
  int sequences = 2;
  int heads = 2;
  int channels = 64;
  int capacity = 64;
  [[nodiscard]] int rows() const { return sequences * heads; }
};

std::vector<float> normal_numbers(std::size_t count, std::string_view name) {
  const Random random(9, name);
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(random.normal(i));
  return numbers;
}

template <typename T>
struct Ending : Guarded<T> {
  explicit Ending(std::size_t count) : Guarded<T>(count, Guarded<T>::Side::kEnd) {}
};

// A cache whose memory ends where nobody may read, filled by the kernel.
class Cache {
 public:
  Cache(const Form& form, const Places& places, const std::vector<float>& recent)
      : places_(places),
        words_(static_cast<std::size_t>(places.rows() * places.capacity * places.channels * form.bits / 32)),
        scales_(scale_count(form, places)),
        minima_(scale_count(form, places)),
        recent_(recent.size()) {
    recent_.assign(recent.data());
    store_ = {words_.data(),
              scales_.data(),
              form.symmetric ? nullptr : minima_.data(),
              recent_.data(),
              NumberKind::kFloat32,
              form.scales,
              form.bits,
              places.heads,
              places.channels,
              form.group,
              form.of_tokens ? 1 : 0,
              places.capacity,
              static_cast<int>(recent.size()) / (places.rows() * places.channels),
              0};
  }

  void append(const std::vector<float>& numbers, std::uint64_t seed) {
    const int tokens = static_cast<int>(numbers.size()) / (places_.rows() * places_.channels);
    const KvRoundCall call = {store_, numbers.data(), NumberKind::kFloat32, places_.sequences, tokens, store_.rounded};
    const int run = store_.of_tokens != 0 ? store_.group : 1;
    testing::launch({{places_.rows(), tokens / run, 1}, KvRound::kThreads, KvRound::kSharedWords * 4}, seed,
                    [&](EmulatedThread& thread) { KvRound::run(thread, call); });
    store_.rounded += tokens;
  }
  [[nodiscard]] const KvStore& store() const { return store_; }

 private:
  // Numbers of 16 bits take half of it.
  static std::size_t scale_count(const Form& form, const Places& places) {
    const int groups = form.of_tokens ? places.capacity / form.group * places.channels
                                      : places.capacity * ((places.channels + form.group - 1) / form.group);
    const int count = places.rows() * groups;
    return static_cast<std::size_t>(form.scales == ScaleKind::kFloat32 ? count : (count + 1) / 2);
  }

  Places places_;
  Ending<std::uint32_t> words_;
  Ending<std::uint32_t> scales_;
  Ending<std::uint32_t> minima_;
  Ending<float> recent_;
  KvStore store_{};
};

float kept(float value, ScaleKind kind) {
  switch (kind) {
    case ScaleKind::kFloat16: return half_to_float(float_to_half(value));
    case ScaleKind::kBFloat16: return bfloat16_to_float(float_to_bfloat16(value));
    case ScaleKind::kFloat32: break;
  }
  return value;
}

// What rounding makes of the numbers that share a scale, by the definition.
std::vector<float> rounded(const std::vector<float>& numbers, const Form& form) {
  const auto [least, largest] = std::minmax_element(numbers.begin(), numbers.end());
  const float top = static_cast<float>((1 << form.bits) - 1);
  const float middle = form.symmetric ? static_cast<float>(1 << (form.bits - 1)) : 0.0F;
  const float minimum = form.symmetric ? 0.0F : kept(*least, form.scales);
  const float span = form.symmetric ? std::max(-*least, *largest) : *largest - minimum;
  const float scale = kept(std::max(span, 0.0F) / (form.symmetric ? middle - 1.0F : top), form.scales);
  std::vector<float> result;
  for (const float x : numbers) {
    const float steps = scale > 0.0F ? (x - minimum) / scale : 0.0F;
    const float code = std::clamp(std::nearbyint(steps) + middle, 0.0F, top);
    result.push_back(code * scale + (form.symmetric ? -middle * scale : minimum));
  }
  return result;
}

// [rows][tokens][channels], in groups.
std::vector<float> all_rounded(const std::vector<float>& numbers, const Form& form, const Places& places) {
  std::vector<float> result(numbers.size());
  const int tokens = static_cast<int>(numbers.size()) / (places.rows() * places.channels);
  for (int row = 0; row < places.rows(); ++row) {
    for (int t = 0; t < tokens; t += form.of_tokens ? form.group : 1) {
      for (int c = 0; c < places.channels; c += form.of_tokens ? 1 : form.group) {
        std::vector<std::size_t> members;
        for (int i = 0; i < form.group; ++i) {
          if (!form.of_tokens && c + i >= places.channels) break;
          const int token = form.of_tokens ? t + i : t;
          const int channel = form.of_tokens ? c : c + i;
          members.push_back(static_cast<std::size_t>((row * tokens + token) * places.channels + channel));
        }
        std::vector<float> values;
        for (const std::size_t at : members) values.push_back(numbers[at]);
        values = rounded(values, form);
        for (std::size_t i = 0; i < members.size(); ++i) result[members[i]] = values[i];
      }
    }
  }
  return result;
}

std::size_t count_of(const Places& places, int tokens) {
  return static_cast<std::size_t>(places.rows() * tokens * places.channels);
}

TEST(CudaKvRounding, EqualsItsDefinition) {
  for (const Form& form :
       {Form{4, 32, false}, Form{2, 16, true}, Form{8, 64, false, true}, Form{4, 24, false, true, ScaleKind::kFloat32},
        Form{4, 8, true, false, ScaleKind::kBFloat16}, Form{2, 40, false, true, ScaleKind::kBFloat16}}) {
    for (const int channels : {64, 128}) {
      const Places places{.channels = channels};
      Cache cache(form, places, {});
      std::vector<float> numbers = normal_numbers(count_of(places, 16), "numbers");
      std::fill_n(numbers.begin(), channels, 0.25F);  // a group of one number
      cache.append(numbers, 3);
      const std::vector<float> expected = all_rounded(numbers, form, places);
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const int at = static_cast<int>(i);
        const int row = at / channels / 16;
        ASSERT_EQ(cache.store().value(row, at / channels % 16, at % channels), expected[i])
            << form.bits << " bits, number " << i;
      }
    }
  }
}

struct Question {
  int repeats = 1;
  int splits = 1;
  int first = 0;
  std::uint64_t seed = 1;
};

std::vector<float> attend_by_kernel(const KvStore& keys, const KvStore& values, const std::vector<float>& queries,
                                    const Places& places, int length, const Question& question) {
  std::vector<float> output(queries.size(), std::nanf(""));
  const std::int64_t units = DecodeAttention::units(places.sequences, places.heads, question.repeats);
  Ending<float> partials(static_cast<std::size_t>(DecodeAttention::partial_floats(units, question.splits)) + 1);
  std::fill(partials.span().begin(), partials.span().end(), std::nanf(""));
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(units), 0);
  const AttentionCall call = {
      keys,           values, queries.data(), output.data(),   NumberKind::kFloat32, places.sequences, question.repeats,
      question.first, length, 0.125F,         question.splits, partials.data(),      arrivals.data()};
  testing::launch(
      {{static_cast<int>(units), question.splits, 1}, DecodeAttention::kThreads, DecodeAttention::kSharedWords * 4},
      question.seed, [&](EmulatedThread& thread) { DecodeAttention::run(thread, call); });
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return output;
}

// softmax(scale q k) v in float64, on what the caches hold. A score is off by (channels + 2) roundings of its terms'
// magnitudes, so that a weight is off by that power of e; each of n tokens may scale what came before by another
// number, whose exponential is within two units of 2^-23. Both stand in the numerator and in the denominator.
void expect_attention(const KvStore& keys, const KvStore& values, const std::vector<float>& queries,
                      const std::vector<float>& found, const Places& places, int length, const Question& question) {
  const int channels = places.channels;
  for (int query = 0; query < places.rows() * question.repeats; ++query) {
    const int row = query / question.repeats;
    std::vector<double> scores;
    double off = 0;
    double largest_value = 0;
    for (int t = question.first; t < length; ++t) {
      double score = 0;
      double magnitude = 0;
      for (int c = 0; c < channels; ++c) {
        const double term = static_cast<double>(queries[static_cast<std::size_t>(query * channels + c)]) *
                            static_cast<double>(keys.value(row, t, c));
        score += term;
        magnitude += std::fabs(term);
        largest_value = std::max(largest_value, static_cast<double>(std::fabs(values.value(row, t, c))));
      }
      scores.push_back(0.125 * score);
      off = std::max(off, 0.125 * magnitude * (channels + 2) * 0x1p-24);
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    const double tokens = length - question.first;
    const double bound = (2 * std::expm1(2 * off) + (tokens + 8) * 0x1p-20) * largest_value;
    for (int c = 0; c < channels; ++c) {
      double sum = 0;
      double weights = 0;
      for (int t = question.first; t < length; ++t) {
        const double weight = std::exp(scores[static_cast<std::size_t>(t - question.first)] - top);
        weights += weight;
        sum += weight * static_cast<double>(values.value(row, t, c));
      }
      const auto at = static_cast<std::size_t>(query * channels + c);
      ASSERT_LE(std::fabs(static_cast<double>(found[at]) - sum / weights), bound) << "query " << query << ", " << c;
    }
  }
}

TEST(CudaDecodeAttention, EqualsFloat64WithinItsRoundings) {
  for (const auto& [repeats, channels] : {std::pair(1, 64), std::pair(3, 64), std::pair(5, 80), std::pair(2, 256)}) {
    const Places places{.channels = channels};
    const std::vector<float> recent = normal_numbers(count_of(places, 5), "recent");
    Cache keys({2, 16, true}, places, recent);
    Cache values({4, 16, false, true}, places, recent);
    keys.append(normal_numbers(count_of(places, 32), "keys"), 5);
    values.append(normal_numbers(count_of(places, 35), "values"), 6);  // the last of them are still kept for keys
    const auto queries = normal_numbers(static_cast<std::size_t>(places.rows() * repeats * channels), "queries");
    for (const Question& question :
         {Question{repeats, 1}, Question{repeats, 3, 0, 2}, Question{repeats, 2, 30, 3}, Question{repeats, 9, 33, 4}}) {
      const auto found = attend_by_kernel(keys.store(), values.store(), queries, places, 37, question);
      expect_attention(keys.store(), values.store(), queries, found, places, 37, question);
      Question again = question;
      again.seed += 10;
      EXPECT_EQ(attend_by_kernel(keys.store(), values.store(), queries, places, 37, again), found);
    }
  }
}

TEST(CudaDecodeAttention, SeesOneToken) {
  const Places places{.sequences = 1, .heads = 1, .channels = 16};
  const std::vector<float> recent = normal_numbers(16, "recent");
  const Cache cache({2, 16, false}, places, recent);
  EXPECT_EQ(attend_by_kernel(cache.store(), cache.store(), recent, places, 1, {}), recent);
}

struct NoLaunchers {
  struct Launcher {
    template <typename Kernel, typename Call>
    bool launch(const AttentionGrid&, const Call&) {
      return true;
    }
  };
  static Launcher make(const Launch&, Report*) { return {}; }
};

TEST(CudaDecodeAttention, SaysWhatACallLacks) {
  const Places places;
  const Cache cache({4, 16, true}, places, {});
  const auto fault = [&](const auto& change) {
    AttentionCall call{};
    call.keys = call.values = cache.store();
    call.length = call.splits = call.repeats = 1;
    change(call);
    const Launch launch{};
    Report report{};
    EXPECT_FALSE(CheckedAttention<NoLaunchers>::attend(&call, &launch, &report));
    EXPECT_EQ(report.failure, Failure::kArgument);
    return std::string(report.text);
  };
  EXPECT_EQ(fault([](AttentionCall& call) { call.keys.bits = 3; }), "caches have 2, 4 or 8 bits");
  EXPECT_EQ(fault([](AttentionCall& call) { call.values.channels = 264; }), "heads have 1 to 256 channels");
  EXPECT_EQ(fault([](AttentionCall& call) { call.keys.channels = 60; }),
            "a token of a head does not fill whole words of 32 bits");
  EXPECT_EQ(fault([](AttentionCall& call) { call.keys.rounded = 7; }), "a cache ends within a group of tokens");
  EXPECT_EQ(fault([](AttentionCall& call) { call.values.heads = 3; }), "keys and values differ in heads or channels");
  EXPECT_EQ(fault([](AttentionCall& call) { call.first = 1; }), "no token is seen");
  EXPECT_EQ(fault([](AttentionCall& call) { call.splits = 2; }), "a call has no splits, or no memory for their states");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
