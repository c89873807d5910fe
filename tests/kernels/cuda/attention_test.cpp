#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

// Launches on the model of a GPU, whose threads and blocks take turns by the seed.
struct Seeded {
  std::uint64_t seed;
  template <typename Kernel, typename Call>
  bool launch(const AttentionGrid& size, const Call& call) const {
    const testing::Grid grid = {{size.blocks[0], size.blocks[1], size.blocks[2]}, Kernel::kThreads, size.shared_bytes};
    testing::launch(grid, seed, [&](EmulatedThread& thread) { Kernel::run(thread, call); });
    return true;
  }
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

  // Numbers of 16 bits must be what these are; the kernels for any sizes take a copy that begins on 4 bytes.
  void append(const std::vector<float>& numbers, std::uint64_t seed, NumberKind kind = NumberKind::kFloat32,
              bool moved = false) {
    std::vector<std::uint16_t> halves(numbers.size() + 2);
    Ending<float> wide(numbers.size() + (moved ? 1 : 0));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      wide.data()[i] = numbers[i];
      halves[i] = kind == NumberKind::kFloat16 ? float_to_half(numbers[i]) : float_to_bfloat16(numbers[i]);
    }
    const void* input =
        kind == NumberKind::kFloat32 ? static_cast<const void*>(wide.data()) : static_cast<const void*>(halves.data());
    const int tokens = static_cast<int>(numbers.size()) / (places_.rows() * places_.channels);
    const KvRoundCall call = {store_, input, kind, places_.sequences, tokens, store_.rounded};
    Seeded launcher{seed};
    dispatch_kv_round(call, launcher);
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

void expect_rounded(const Form& form, const Places& places, NumberKind kind, bool moved) {
  constexpr int kTokens = 64;
  Cache cache(form, places, {});
  std::vector<float> numbers = normal_numbers(count_of(places, kTokens), "numbers");
  std::fill_n(numbers.begin(), places.channels, 0.25F);  // a group of one number
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    // Some that lie between two codes.
    if (i % 3 == 0) numbers[i] = std::nearbyint(numbers[i] * 2.0F) / 2.0F;
    if (kind == NumberKind::kFloat16) numbers[i] = half_to_float(float_to_half(numbers[i]));
    if (kind == NumberKind::kBFloat16) numbers[i] = bfloat16_to_float(float_to_bfloat16(numbers[i]));
  }
  cache.append(numbers, 3, kind, moved);
  const std::vector<float> expected = all_rounded(numbers, form, places);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const int at = static_cast<int>(i);
    const int token = at / places.channels;
    ASSERT_EQ(cache.store().value(token / kTokens, token % kTokens, at % places.channels), expected[i])
        << form.bits << " bits, groups of " << form.group << ", number " << i;
  }
}

// By the kernels for groups of eights, and by the one for all: what does not begin on 16 bytes.
TEST(CudaKvRounding, EqualsItsDefinition) {
  const ScaleKind wide = ScaleKind::kFloat32;
  for (const Form& form :
       {Form{4, 32, false}, Form{2, 16, true}, Form{8, 64, false, true}, Form{4, 24, false, true, wide},
        Form{4, 8, true, false, ScaleKind::kBFloat16}, Form{8, 32, true, true},
        Form{2, 40, false, true, ScaleKind::kBFloat16}, Form{4, 64, true, false, wide}}) {
    for (const int channels : {64, 80, 192}) {
      if (!form.of_tokens && form.group == 64 && channels == 80) continue;
      const Places places{.sequences = 1, .channels = channels, .capacity = 64};
      expect_rounded(form, places, NumberKind::kFloat32, false);
    }
    const Places places{.sequences = 1, .channels = 128, .capacity = 64};
    expect_rounded(form, places, NumberKind::kFloat32, true);
    expect_rounded(form, places, NumberKind::kFloat16, false);
    expect_rounded(form, places, NumberKind::kBFloat16, false);
  }
}

// Each number half way between two codes, or the nearest float16 or float32 to that, of scales of which some are whole
// powers of two: what a product alone would not decide.
TEST(CudaKvRounding, DecidesWhatLiesBetweenTwoCodesAsItsDefinition) {
  constexpr int kTokens = 32;
  for (const int bits : {2, 4, 8}) {
    for (const bool symmetric : {false, true}) {
      for (const NumberKind kind : {NumberKind::kFloat32, NumberKind::kFloat16, NumberKind::kBFloat16}) {
        const Form form{bits, kTokens, true, symmetric};
        const Places places{.sequences = 1, .heads = 1, .channels = 128, .capacity = kTokens};
        const int codes = (1 << bits) - 1;
        const float top = static_cast<float>(symmetric ? codes / 2 : codes);
        std::vector<float> numbers(count_of(places, kTokens));
        for (int i = 0; i < kTokens * 128; ++i) {
          const int token = i / 128;
          const int channel = i % 128;
          const float scale = half_to_float(float_to_half((1.0F + static_cast<float>(channel) / 97.0F) / 16.0F));
          const float minimum = symmetric ? -top * scale : -0.25F;
          const int code = (token * 37 + channel) % codes;
          const float between = (static_cast<float>(symmetric ? code - codes / 2 : code) + 0.5F) * scale;
          float x = symmetric ? between : minimum + between;
          if (token % 3 == 1) x = std::nextafter(x, -1e9F);
          if (token % 3 == 2) x = std::nextafter(x, 1e9F);
          if (token == 0) x = minimum;
          if (token == 1) x = symmetric ? top * scale : minimum + top * scale;
          if (kind == NumberKind::kFloat16) x = half_to_float(float_to_half(x));
          if (kind == NumberKind::kBFloat16) x = bfloat16_to_float(float_to_bfloat16(x));
          numbers[static_cast<std::size_t>(i)] = x;
        }
        Cache cache(form, places, {});
        cache.append(numbers, 3, kind);
        const std::vector<float> expected = all_rounded(numbers, form, places);
        for (int i = 0; i < kTokens * 128; ++i) {
          ASSERT_EQ(cache.store().value(0, i / 128, i % 128), expected[static_cast<std::size_t>(i)])
              << bits << " bits, number " << i;
        }
      }
    }
  }
}

// What is no number takes no other number's code along, nor what is infinite those of other channels.
TEST(CudaKvRounding, LeavesOtherNumbersAsTheyAreBesideOneThatIsNone) {
  constexpr int kTokens = 32;
  const Form form{4, kTokens, true};
  const Places places{.sequences = 1, .heads = 1, .channels = 64, .capacity = kTokens};
  std::vector<float> numbers = normal_numbers(count_of(places, kTokens), "numbers");
  const std::vector<float> expected = all_rounded(numbers, form, places);
  const auto place = [](int token, int channel) { return static_cast<std::size_t>(token * 64 + channel); };
  // Neither the least nor the largest of its channel, so that the others' codes are what they were.
  int token = 0;
  for (int t = 0; t < kTokens; ++t) {
    if (std::fabs(numbers[place(t, 9)]) < std::fabs(numbers[place(token, 9)])) token = t;
  }
  numbers[place(token, 9)] = std::nanf("");
  numbers[place(3, 40)] = std::numeric_limits<float>::infinity();
  Cache cache(form, places, {});
  cache.append(numbers, 3);
  for (int t = 0; t < kTokens; ++t) {
    for (int c = 0; c < 64; ++c) {
      if (c == 40 || (c == 9 && t == token)) continue;
      ASSERT_EQ(cache.store().value(0, t, c), expected[place(t, c)]) << t << ", " << c;
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
  Ending<float> output(queries.size());
  std::fill(output.span().begin(), output.span().end(), std::nanf(""));
  const std::int64_t units = attention_units(places.sequences, places.heads, question.repeats);
  Ending<float> partials(
      static_cast<std::size_t>(attention_partial_floats(units, question.repeats, question.splits, places.channels)));
  std::fill(partials.span().begin(), partials.span().end(), std::nanf(""));
  std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(units), 0);
  const AttentionCall call = {
      keys,           values, queries.data(), output.data(),   NumberKind::kFloat32, places.sequences, question.repeats,
      question.first, length, 0.125F,         question.splits, partials.data(),      arrivals.data()};
  Seeded launcher{question.seed};
  dispatch_attention(call, launcher);
  EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
  return {output.span().begin(), output.span().end()};
}

// What code scale + minimum is the sum of, in magnitude: kernels multiply the two by queries and weights one by one.
double magnitude_of(const KvStore& store, int row, int token, int channel) {
  const float value = store.value(row, token, channel);
  if (token >= store.rounded) return static_cast<double>(std::fabs(value));
  const std::int64_t at = store.scale_at(row, token, channel);
  const double minimum =
      static_cast<double>(store.minima != nullptr ? store.number(store.minima, at)
                                                  : std::ldexp(store.number(store.scales, at), store.bits - 1));
  return std::fabs(static_cast<double>(value) - minimum) + std::fabs(minimum);
}

// softmax(scale q k) v in float64, on what the caches hold. A score is off by (channels + 4) roundings of its terms'
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
        magnitude += std::fabs(static_cast<double>(queries[static_cast<std::size_t>(query * channels + c)])) *
                     magnitude_of(keys, row, t, c);
        largest_value = std::max(largest_value, magnitude_of(values, row, t, c));
      }
      scores.push_back(0.125 * score);
      off = std::max(off, 0.125 * magnitude * (channels + 4) * 0x1p-24);
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

void expect_answers(const Cache& keys, const Cache& values, const Places& places, int length,
                    const std::vector<Question>& questions) {
  for (const Question& question : questions) {
    const auto queries =
        normal_numbers(static_cast<std::size_t>(places.rows() * question.repeats * places.channels), "queries");
    const auto found = attend_by_kernel(keys.store(), values.store(), queries, places, length, question);
    expect_attention(keys.store(), values.store(), queries, found, places, length, question);
    if (question.splits != 3) continue;
    Question again = question;
    again.seed += 10;
    EXPECT_EQ(attend_by_kernel(keys.store(), values.store(), queries, places, length, again), found);
  }
}

// Groups that no lane's channels and no warp's tokens divide, and tokens that are kept as they came.
TEST(CudaDecodeAttention, EqualsFloat64WithinItsRoundings) {
  for (const auto& [repeats, channels] : {std::pair(1, 64), std::pair(3, 64), std::pair(5, 80), std::pair(2, 256)}) {
    const Places places{.sequences = channels == 80 ? 2 : 1, .channels = channels};
    const std::vector<float> recent = normal_numbers(count_of(places, 5), "recent");
    Cache keys({2, 16, true}, places, recent);
    Cache values({4, 16, false, true}, places, recent);
    keys.append(normal_numbers(count_of(places, 32), "keys"), 5);
    values.append(normal_numbers(count_of(places, 35), "values"), 6);  // the last of them are still kept for keys
    expect_answers(keys, values, places, 37,
                   {{repeats, 1}, {repeats, 3, 0, 2}, {repeats, 2, 30, 3}, {repeats, 9, 33, 4}});
  }
}

// Scales that go into queries (of tokens, by 32), into scores and into weights (of a token's channels, by 16 or all),
// each with and without minima; rows of words that no load of 8 or 16 bytes fits, heads that no sixteen channels do.
TEST(CudaDecodeAttention, FoldsScalesOfEveryForm) {
  constexpr int kTokens = 160;
  struct Both {
    Form keys;
    Form values;
    int channels;
    int repeats;
  };
  for (const Both& both :
       {Both{{4, 32, true}, {4, 32, false}, 128, 4}, Both{{2, 64, true, true}, {8, 16, false, true}, 64, 2},
        Both{{8, 32, false, false, ScaleKind::kBFloat16}, {2, 32, true, false, ScaleKind::kBFloat16}, 32, 1},
        Both{{4, 80, false, true}, {4, 32, true, true, ScaleKind::kFloat32}, 80, 5},
        Both{{4, 32, true, false, ScaleKind::kFloat32}, {4, 72, false}, 72, 1},
        Both{{8, 16, false}, {8, 32, true, true}, 24, 4}, Both{{2, 256, false}, {2, 32, true}, 256, 4},
        Both{{4, 24, false}, {4, 40, true}, 128, 1}}) {
    const Places places{.sequences = 1, .heads = 1, .channels = both.channels, .capacity = 960};
    const std::vector<float> recent = normal_numbers(count_of(places, 9), "recent");
    Cache keys(both.keys, places, recent);
    Cache values(both.values, places, recent);
    keys.append(normal_numbers(count_of(places, kTokens / 64 * 64), "keys"), 5);
    values.append(normal_numbers(count_of(places, 120), "values"), 6);
    expect_answers(keys, values, places, 128 + 1, {{both.repeats, 1}});
    values.append(normal_numbers(count_of(places, kTokens - 120), "more values"), 6);
    expect_answers(keys, values, places, 128, {{both.repeats, 1}, {both.repeats, 3, 40, 2}});
  }
}

// Queries, and with them scores' terms, far apart in size; keys so large or small that float16 holds neither.
TEST(CudaDecodeAttention, SplitsNumbersOfAnySize) {
  const Places places{.sequences = 1, .heads = 1, .channels = 128};
  for (const float size : {0x1p-70F, 1.0F, 0x1p60F}) {
    Cache keys({4, 32, true, false, ScaleKind::kBFloat16}, places, {});
    Cache values({4, 32, false, false, ScaleKind::kBFloat16}, places, {});
    std::vector<float> numbers = normal_numbers(count_of(places, 64), "keys");
    std::vector<float> queries = normal_numbers(4 * 128, "queries");
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] *= size * (i % 2 == 0 ? 1.0F : 0x1p-12F);
    for (std::size_t i = 0; i < queries.size(); ++i) queries[i] *= (i % 2 == 0 ? 1.0F : 0x1p12F) / size;
    keys.append(numbers, 5);
    values.append(numbers, 6);
    const Question question{4, 2};
    const auto found = attend_by_kernel(keys.store(), values.store(), queries, places, 64, question);
    expect_attention(keys.store(), values.store(), queries, found, places, 64, question);
  }
}

TEST(CudaDecodeAttention, SeesOneToken) {
  const Places places{.sequences = 1, .heads = 1, .channels = 16};
  const std::vector<float> recent = normal_numbers(16, "recent");
  const Cache cache({2, 16, false}, places, recent);
  EXPECT_EQ(attend_by_kernel(cache.store(), cache.store(), recent, places, 1, {}), recent);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
