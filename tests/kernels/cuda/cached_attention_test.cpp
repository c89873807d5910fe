#include "kernels/cuda/cached_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/cuda/step_dispatch.h"
#include "step_numbers.h"

// Attention to caches of bfloat16 numbers on the model of a GPU, against float64.
namespace lowbit::kernels::cuda {
namespace {

using testing::count_of;
using testing::kRounding;
using testing::Numbers;
using testing::Seeded;

struct Heads {
  int sequences;
  int kv_heads;
  int repeats;
  int channels;
  int window = 0;
  [[nodiscard]] int rows() const { return sequences * kv_heads; }
};

// Keys and values [rows][capacity][channels] of which `tokens` are there.
struct Caches {
  Heads heads;
  int capacity;
  Numbers<> keys;
  Numbers<> values;
  Caches(const Heads& of, int tokens, int room)
      : heads(of),
        capacity(room),
        keys(count_of(of.rows(), room, of.channels)),
        values(count_of(of.rows(), room, of.channels)) {
    const auto width = count_of(tokens, of.channels);
    Numbers<> drawn_keys(count_of(of.rows(), tokens, of.channels), "keys");
    Numbers<> drawn_values(count_of(of.rows(), tokens, of.channels), "values");
    for (std::size_t row = 0; row < static_cast<std::size_t>(of.rows()); ++row) {
      const std::size_t to = row * count_of(room, of.channels);
      std::copy_n(drawn_keys.data() + row * width, width, keys.data() + to);
      std::copy_n(drawn_values.data() + row * width, width, values.data() + to);
    }
  }
  std::vector<std::uint16_t> attend(Numbers<>& queries, int position, std::uint64_t seed, int sequences) {
    Numbers<> output(count_of(sequences * heads.kv_heads, heads.repeats, heads.channels));
    Numbers<std::int32_t> place(1);
    place.data()[0] = position;
    CachedAttentionCall call = {queries.data(), keys.data(),    values.data(), output.data(),  place.data(),
                                sequences,      heads.kv_heads, heads.repeats, heads.channels, capacity,
                                heads.window,   0.125F,         nullptr,       nullptr};
    const AttentionSpace space(call);
    Numbers<float> partials(static_cast<std::size_t>(space.partials) + 1);
    std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(space.arrivals), 0);
    call.partials = partials.data();
    call.arrivals = arrivals.data();
    Seeded launcher{seed};
    if (attention_heads(heads.repeats) == 1) {
      dispatch_cached_attention<1>(call, launcher);
    } else {
      dispatch_cached_attention<4>(call, launcher);
    }
    EXPECT_EQ(arrivals, std::vector<std::uint32_t>(arrivals.size(), 0));
    return output.copy();
  }
};

// softmax(scale q k) v in float64. A score is off by (channels + 2) roundings of its terms' magnitudes, a weight by
// that power of e; each token may scale what came before by a number whose exponential is within two units of 2^-23,
// and so do the joins. Both stand in the numerator and in the denominator.
void expect_attention(Caches& caches, Numbers<>& queries, const std::vector<std::uint16_t>& found, int position) {
  const Heads& heads = caches.heads;
  const auto width = static_cast<std::size_t>(heads.channels);
  const int first = heads.window > 0 ? std::max(0, position + 1 - heads.window) : 0;
  for (std::size_t query = 0; query < count_of(heads.rows(), heads.repeats); ++query) {
    const std::size_t row = query / static_cast<std::size_t>(heads.repeats) * static_cast<std::size_t>(caches.capacity);
    std::vector<double> scores;
    double off = 0;
    double largest = 0;
    for (int t = first; t <= position; ++t) {
      const std::size_t at = (row + static_cast<std::size_t>(t)) * width;
      double score = 0;
      double magnitude = 0;
      for (std::size_t c = 0; c < width; ++c) {
        const double term = queries.at(query * width + c) * caches.keys.at(at + c);
        score += term;
        magnitude += std::fabs(term);
        largest = std::max(largest, std::fabs(caches.values.at(at + c)));
      }
      scores.push_back(0.125 * score);
      off = std::max(off, 0.125 * magnitude * (heads.channels + 2) * 0x1p-24);
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    const double bound = (2 * std::expm1(2 * off) + (static_cast<double>(scores.size()) + 8) * 0x1p-20) * largest;
    for (std::size_t c = 0; c < width; ++c) {
      double sum = 0;
      double weights = 0;
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const double weight = std::exp(scores[i] - top);
        weights += weight;
        sum += weight * caches.values.at((row + static_cast<std::size_t>(first) + i) * width + c);
      }
      const double y = static_cast<double>(bfloat16_to_float(found[query * width + c]));
      ASSERT_NEAR(y, sum / weights, bound + std::fabs(sum / weights) * kRounding) << "query " << query << ", " << c;
    }
  }
}

TEST(CudaCachedAttention, EqualsFloat64WithinItsRoundings) {
  for (const Heads& heads : {Heads{2, 2, 1, 64}, Heads{1, 2, 3, 80}, Heads{2, 1, 5, 128}, Heads{1, 1, 1, 256},
                             Heads{1, 1, 4, 8}, Heads{1, 2, 4, 64, 10}, Heads{1, 1, 1, 64, 70}}) {
    Numbers<> queries(count_of(heads.rows(), heads.repeats, heads.channels), "queries", 2);
    for (const int position : {0, 5, 63, 64, 150}) {
      Caches caches(heads, position + 1, 160);
      const auto found = caches.attend(queries, position, 1, heads.sequences);
      expect_attention(caches, queries, found, position);
      EXPECT_EQ(caches.attend(queries, position, 12, heads.sequences), found);
    }
  }
}

// Parts follow from the number of tokens: neither the room of the cache nor the other sequences matter.
TEST(CudaCachedAttention, HasTheSameBitsInAnyBatchAndCapacity) {
  const Heads heads{3, 2, 2, 64};
  Numbers<> queries(count_of(heads.rows(), heads.repeats, heads.channels), "queries", 2);
  Caches small(heads, 101, 101);
  Caches large(heads, 101, 1000);
  const auto found = small.attend(queries, 100, 1, 3);
  EXPECT_EQ(large.attend(queries, 100, 2, 3), found);
  auto first = small.attend(queries, 100, 3, 1);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), found.begin()));
}

TEST(CudaCachedAttention, DealsLongCachesToLargerParts) {
  for (const int tokens : {1, 64, 65, 4096, 4097, 8192, 8193, 131072}) {
    for (const int window : {0, 1, 64, 5000}) {
      const AttentionParts parts(tokens, window);
      const int seen = window > 0 ? std::min(window, tokens) : tokens;
      EXPECT_EQ(parts.length - parts.first, seen);
      EXPECT_GE(parts.each * parts.count, seen);
      EXPECT_LT(parts.each * (parts.count - 1), seen);
      EXPECT_EQ(parts.each % AttentionParts::kTokens, 0);
      EXPECT_LE(parts.count, AttentionParts::most(tokens, window));
      EXPECT_LE(parts.count, AttentionParts::most(tokens + 100, window));
    }
  }
  const Heads heads{1, 1, 1, 8};
  Numbers<> queries(8, "queries", 2);
  Caches caches(heads, 4200, 4200);
  expect_attention(caches, queries, caches.attend(queries, 4199, 1, 1), 4199);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
