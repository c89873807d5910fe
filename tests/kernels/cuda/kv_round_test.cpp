#include "kernels/cuda/kv_round.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kv_cache.h"

// Rounding of keys and values on the model of a GPU, against the definition.
namespace lowbit::kernels::cuda {
namespace {

using testing::all_rounded;
using testing::Cache;
using testing::count_of;
using testing::Form;
using testing::normal_numbers;
using testing::Places;
using testing::Seeded;

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

}  // namespace
}  // namespace lowbit::kernels::cuda
