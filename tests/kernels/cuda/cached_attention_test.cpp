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

// Cosines and sines [capacity][channels]: none that turn, or random ones.
struct Angles {
  Numbers<float> cos;
  Numbers<float> sin;
  Angles(const Heads& heads, int capacity, bool turns)
      : cos(count_of(capacity, heads.channels), "cos"), sin(count_of(capacity, heads.channels), "sin") {
    if (turns) return;
    std::fill_n(cos.data(), count_of(capacity, heads.channels), 1.0F);
    std::fill_n(sin.data(), count_of(capacity, heads.channels), 0.0F);
  }
};

// Keys and values [rows][capacity][channels] of which `tokens` are there, the last one once attention has put it there.
struct Caches {
  Heads heads;
  int capacity;
  std::size_t tokens;
  Numbers<> keys;
  Numbers<> values;
  Numbers<> new_keys;
  Numbers<> new_values;
  Caches(const Heads& of, int seen, int room)
      : heads(of),
        capacity(room),
        tokens(static_cast<std::size_t>(seen)),
        keys(count_of(of.rows(), room, of.channels)),
        values(count_of(of.rows(), room, of.channels)),
        new_keys(count_of(of.rows(), of.channels)),
        new_values(count_of(of.rows(), of.channels)) {
    const auto width = static_cast<std::size_t>(of.channels);
    Numbers<> drawn_keys(count_of(of.rows(), seen, of.channels), "keys");
    Numbers<> drawn_values(count_of(of.rows(), seen, of.channels), "values");
    for (std::size_t row = 0; row < static_cast<std::size_t>(of.rows()); ++row) {
      const std::size_t from = row * tokens * width;
      const std::size_t newest = from + (tokens - 1) * width;
      std::copy_n(drawn_keys.data() + from, (tokens - 1) * width, keys.data() + at(row, 0));
      std::copy_n(drawn_values.data() + from, (tokens - 1) * width, values.data() + at(row, 0));
      std::copy_n(drawn_keys.data() + newest, width, new_keys.data() + row * width);
      std::copy_n(drawn_values.data() + newest, width, new_values.data() + row * width);
    }
  }
  [[nodiscard]] std::size_t at(std::size_t row, std::size_t token) const {
    return (row * static_cast<std::size_t>(capacity) + token) * static_cast<std::size_t>(heads.channels);
  }
  std::vector<std::uint16_t> attend(Numbers<>& queries, std::uint64_t seed, int sequences, bool turns = false) {
    Numbers<> output(count_of(sequences * heads.kv_heads, heads.repeats, heads.channels));
    Angles angles(heads, capacity, turns);
    Numbers<std::int32_t> place(1);
    place.data()[0] = static_cast<std::int32_t>(tokens) - 1;
    CachedAttentionCall call{};
    call.queries = queries.data();
    call.new_keys = new_keys.data();
    call.new_values = new_values.data();
    call.keys = keys.data();
    call.values = values.data();
    call.output = output.data();
    call.cos = angles.cos.data();
    call.sin = angles.sin.data();
    call.position = place.data();
    call.sequences = sequences;
    call.kv_heads = heads.kv_heads;
    call.repeats = heads.repeats;
    call.channels = heads.channels;
    call.capacity = capacity;
    call.window = heads.window;
    call.scale = 0.125F;
    const AttentionSpace space(call);
    Numbers<float> partials(static_cast<std::size_t>(space.partials) + 1);
    std::vector<std::uint32_t> arrivals(static_cast<std::size_t>(space.arrivals), 0);
    call.partials = partials.data();
    call.arrivals = arrivals.data();
    Seeded launcher{seed};
    dispatch_cached_attention(call, launcher);
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
      const auto found = caches.attend(queries, 1, heads.sequences);
      expect_attention(caches, queries, found, position);
      EXPECT_EQ(caches.attend(queries, 12, heads.sequences), found);
    }
  }
}

// Parts follow from the number of tokens: neither the room of the cache nor the other sequences matter.
TEST(CudaCachedAttention, HasTheSameBitsInAnyBatchAndCapacity) {
  const Heads heads{3, 2, 2, 64};
  Numbers<> queries(count_of(heads.rows(), heads.repeats, heads.channels), "queries", 2);
  Caches small(heads, 101, 101);
  Caches large(heads, 101, 1000);
  const auto found = small.attend(queries, 1, 3);
  EXPECT_EQ(large.attend(queries, 2, 3), found);
  auto first = small.attend(queries, 3, 1);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), found.begin()));
}

TEST(CudaCachedAttention, AppendsTheNewestKeyTurnedByItsPositionAndItsValue) {
  for (const Heads& heads : {Heads{2, 2, 1, 8}, Heads{1, 2, 5, 24}, Heads{1, 1, 1, 64, 3}, Heads{1, 1, 1, 256}}) {
    constexpr int kPosition = 67;
    constexpr int kRoom = 69;
    Numbers<> queries(count_of(heads.rows(), heads.repeats, heads.channels), "queries", 2);
    Caches before(heads, kPosition + 1, kRoom);
    Caches caches(heads, kPosition + 1, kRoom);
    (void)caches.attend(queries, 1, heads.sequences, true);
    Angles angles(heads, kRoom, true);
    const auto width = static_cast<std::size_t>(heads.channels);
    for (std::size_t row = 0; row < static_cast<std::size_t>(heads.rows()); ++row) {
      const std::size_t newest = caches.at(row, kPosition);
      for (std::size_t i = 0; i < width; ++i) {
        const bool upper = i >= width / 2;
        const double other = before.new_keys.at(row * width + (upper ? i - width / 2 : i + width / 2));
        const double a = before.new_keys.at(row * width + i) * angles.cos.at(kPosition * width + i);
        const double b = other * (upper ? 1 : -1) * angles.sin.at(kPosition * width + i);
        ASSERT_NEAR(caches.keys.at(newest + i), a + b,
                    std::fabs(a + b) * kRounding + (std::fabs(a) + std::fabs(b)) * 0x1p-22);
      }
      std::copy_n(caches.keys.data() + newest, width, before.keys.data() + newest);
      std::copy_n(caches.new_values.data() + row * width, width, before.values.data() + newest);
    }
    // Nothing else was written.
    EXPECT_EQ(caches.keys.copy(), before.keys.copy());
    EXPECT_EQ(caches.values.copy(), before.values.copy());
  }
}

// Queries are turned as keys are: what the cache gets of them as keys, unturned queries, has their bits.
TEST(CudaCachedAttention, TurnsQueriesAsItTurnsKeys) {
  const Heads heads{2, 2, 1, 48};
  constexpr int kTokens = 70;
  Numbers<> queries(count_of(heads.rows(), heads.channels), "queries", 2);
  Caches as_keys(heads, kTokens, kTokens);
  as_keys.new_keys.assign(queries.data());
  (void)as_keys.attend(queries, 1, heads.sequences, true);
  Numbers<> turned(count_of(heads.rows(), heads.channels));
  Caches caches(heads, kTokens, kTokens);
  const auto width = static_cast<std::size_t>(heads.channels);
  const auto found = caches.attend(queries, 1, heads.sequences, true);
  for (std::size_t row = 0; row < static_cast<std::size_t>(heads.rows()); ++row) {
    const std::size_t newest = caches.at(row, kTokens - 1);
    std::copy_n(as_keys.keys.data() + newest, width, turned.data() + row * width);
    std::copy_n(caches.keys.data() + newest, width, caches.new_keys.data() + row * width);
  }
  EXPECT_NE(turned.copy(), queries.copy());
  EXPECT_EQ(caches.attend(turned, 1, heads.sequences, false), found);
}

TEST(CudaCachedAttention, DealsLongCachesToLargerParts) {
  for (const int repeats : {1, 4}) {
    for (const int tokens : {1, 64, 65, 4096, 4097, 8192, 8193, 131072}) {
      for (const int window : {0, 1, 64, 5000}) {
        const int most = AttentionParts::most_of(attention_heads(repeats));
        const AttentionParts parts(tokens, window, most);
        const int seen = window > 0 ? std::min(window, tokens) : tokens;
        EXPECT_EQ(parts.length - parts.first, seen);
        EXPECT_GE(parts.each * parts.count, seen);
        EXPECT_LT(parts.each * (parts.count - 1), seen);
        EXPECT_EQ(parts.each % AttentionParts::kTokens, 0);
        EXPECT_LE(parts.count, most);
        CachedAttentionCall call{};
        call.repeats = repeats;
        call.window = window;
        for (call.capacity = tokens; call.capacity <= tokens + 100; call.capacity += 100) {
          EXPECT_LE(parts.count, AttentionParts::most(call));
        }
      }
    }
  }
  const Heads heads{1, 1, 1, 8};
  Numbers<> queries(8, "queries", 2);
  Caches caches(heads, 4200, 4200);
  expect_attention(caches, queries, caches.attend(queries, 1, 1), 4199);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
