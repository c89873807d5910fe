#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kv_cache.h"

// Attention to codes on the model of a GPU, against float64.
namespace lowbit::kernels::cuda {
namespace {

using testing::all_rounded;
using testing::Cache;
using testing::count_of;
using testing::Ending;
using testing::Form;
using testing::normal_numbers;
using testing::Places;
using testing::Seeded;

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
