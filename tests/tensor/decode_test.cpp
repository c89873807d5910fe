#include "lowbit/tensor/decode.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "lowbit/tensor/rotary.h"
#include "support/error_text.h"
#include "tensor/float_panels.h"

namespace lowbit {
namespace {

at::Tensor random_tensor(const Shape& shape, std::string_view name) {
  const Random random(3, name);
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return tensor_of(std::span<const float>(values)).view(shape);
}

struct HeadCase {
  std::int64_t sequences, heads, kv_heads, dim, window;
};
std::ostream& operator<<(std::ostream& out, const HeadCase& c) {
  return out << c.sequences << " sequences, " << c.heads << " heads on " << c.kv_heads << " of " << c.dim << ", window "
             << c.window;
}

// Reads tokens one at a time and compares each with attention over all that were read, as `numbers` holds them.
void expect_attention(const HeadCase& c, std::int64_t tokens, DType numbers = DType::kFloat32) {
  const at::Tensor q = random_tensor({c.sequences, tokens, c.heads, c.dim}, "q");
  const at::Tensor k = random_tensor({c.sequences, tokens, c.kv_heads, c.dim}, "k");
  const at::Tensor v = random_tensor({c.sequences, tokens, c.kv_heads, c.dim}, "v");
  const at::Tensor cos = random_tensor({tokens, c.dim}, "cos");
  const at::Tensor sin = random_tensor({tokens, c.dim}, "sin");
  const auto by_heads = [](const at::Tensor& x) { return x.transpose(1, 2); };
  const auto held = [&](const at::Tensor& x) { return to_dtype(to_dtype(x, numbers), DType::kFloat32); };
  const at::Tensor keys = held(rotate_pairs(by_heads(k), cos, sin));
  const at::Tensor values = held(by_heads(v));
  const at::Tensor queries = rotate_pairs(by_heads(q), cos, sin);
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.dim));
  DecodeCache cache(c.sequences, c.kv_heads, c.dim, tokens, DecodeCache::Room::kWhole, numbers);
  std::vector<float> scratch(static_cast<std::size_t>(c.sequences * c.heads * cache.capacity()));
  at::Tensor out = make_empty({c.sequences, c.heads, c.dim}, DType::kFloat32);
  for (std::int64_t token = 0; token < tokens; ++token) {
    at::Tensor own_q = q.select(1, token).clone();
    at::Tensor own_k = k.select(1, token).clone();
    const at::Tensor own_v = v.select(1, token).contiguous();
    const DecodeAttention attention{.heads = c.heads,
                                    .kv_heads = c.kv_heads,
                                    .dim = c.dim,
                                    .scale = scale,
                                    .window = c.window,
                                    .cos = cos.const_data_ptr<float>() + token * c.dim,
                                    .sin = sin.const_data_ptr<float>() + token * c.dim,
                                    .q = own_q.mutable_data_ptr<float>(),
                                    .k = own_k.mutable_data_ptr<float>(),
                                    .v = own_v.const_data_ptr<float>(),
                                    .out = out.mutable_data_ptr<float>(),
                                    .scratch = scratch.data()};
    attention.run(cache);
    const at::Tensor expected =
        causal_attention(queries.narrow(2, token, 1), keys.narrow(2, 0, token + 1), values.narrow(2, 0, token + 1),
                         scale, c.window, /*deterministic=*/true)
            .select(2, 0);
    if (float_panels_available()) {
      ASSERT_TRUE(out.equal(expected)) << c << ", token " << token;
    } else {
      // Two orders of float32 sums of at most `dim` and `tokens` terms below 10.
      ASSERT_LT(out.sub(expected).abs().max().item<double>(), 1e-4) << c << ", token " << token;
    }
  }
  EXPECT_EQ(cache.length(), tokens);
  EXPECT_EQ(cache.bytes(), 2 * c.sequences * c.kv_heads * c.dim * tokens * dtype_bytes(numbers));
  at::Tensor rows = make_empty({c.sequences, c.kv_heads, tokens, c.dim}, DType::kFloat32);
  cache.read(DecodeCache::Side::kKeys, 0, tokens, rows.mutable_data_ptr<float>());
  EXPECT_TRUE(rows.equal(keys));
  cache.read(DecodeCache::Side::kValues, 0, tokens, rows.mutable_data_ptr<float>());
  EXPECT_TRUE(rows.equal(values));
}

TEST(DecodeAttention, HasTheBitsOfCausalAttention) {
  if (!decode_operations_available()) GTEST_SKIP() << "the processor lacks AVX2";
  for (const HeadCase& c : {HeadCase{1, 9, 3, 64, 0}, HeadCase{2, 4, 4, 8, 0}, HeadCase{1, 8, 1, 80, 0},
                            HeadCase{3, 4, 2, 16, 7}, HeadCase{1, 10, 2, 128, 20}}) {
    expect_attention(c, 77);
    expect_attention(c, 77, DType::kBFloat16);
  }
}

TEST(DecodeAttention, IsTheSameForAnyThreads) {
  if (!decode_operations_available()) GTEST_SKIP() << "the processor lacks AVX2";
  const int threads = thread_count();
  for (const int count : {1, 3}) {
    set_thread_count(count);
    expect_attention({2, 6, 3, 16, 0}, 19);
  }
  set_thread_count(threads);
}

TEST(DecodeOperations, HaveTheBitsOfTheTensorOperations) {
  for (const std::int64_t width : {64, 192, 77, 100}) {
    const at::Tensor x = random_tensor({3, width}, "x");
    const at::Tensor up = random_tensor({3, width}, "up");
    const at::Tensor weight = random_tensor({width}, "weight");
    at::Tensor out = make_empty({3, width}, DType::kFloat32);
    rms_norm_rows(x.const_data_ptr<float>(), 3, width, weight.const_data_ptr<float>(), 1e-5,
                  out.mutable_data_ptr<float>());
    EXPECT_TRUE(out.equal(rms_norm(x, weight, 1e-5))) << width;
    at::Tensor gate = x.clone();
    silu_product(gate.mutable_data_ptr<float>(), up.const_data_ptr<float>(), 3 * width);
    EXPECT_TRUE(gate.equal(silu(x).mul(up))) << width;
  }
}

// Numbers [sequences, kv_heads, tokens, dim] that stand elsewhere.
class OtherForm : public RoundedRows {
 public:
  explicit OtherForm(at::Tensor numbers) : numbers_(std::move(numbers)) {}
  void read(std::int64_t sequence, std::int64_t head, std::int64_t begin, std::int64_t count,
            float* rows) const override {
    const at::Tensor part = numbers_.select(0, sequence).select(0, head).narrow(0, begin, count).contiguous();
    std::copy_n(part.const_data_ptr<float>(), part.numel(), rows);
  }
  [[nodiscard]] const at::Tensor& numbers() const { return numbers_; }

 private:
  at::Tensor numbers_;
};

struct HandOver {
  HeadCase head;
  std::int64_t prompt;
  std::int64_t kept;   // of the values, one at a time
  std::int64_t block;  // of the keys
};

// A prompt, then token by token; what was handed over counts as the other form has it.
void expect_attention_to_other_form(const HandOver& c, std::int64_t tokens) {
  const HeadCase& h = c.head;
  const Shape shape{h.sequences, h.kv_heads, tokens, h.dim};
  const at::Tensor k = random_tensor(shape, "keys");
  const at::Tensor v = random_tensor(shape, "values");
  const OtherForm other_keys(random_tensor(shape, "other keys"));
  const OtherForm other_values(random_tensor(shape, "other values"));
  const at::Tensor q = random_tensor({h.sequences, h.heads, tokens, h.dim}, "q");
  const at::Tensor cos = random_tensor({h.dim}, "cos").fill_(1.0F);  // nothing is rotated
  const at::Tensor sin = random_tensor({h.dim}, "sin").zero_();
  DecodeCache cache(h.sequences, h.kv_heads, h.dim, tokens, DecodeCache::Room::kGrowing);
  std::vector<float> scratch(static_cast<std::size_t>(h.sequences * h.heads * cache.capacity()));
  std::int64_t handed_keys = 0;
  std::int64_t handed_values = 0;
  const auto hand_over = [&] {
    handed_keys = cache.length() / c.block * c.block;
    handed_values = std::max<std::int64_t>(0, cache.length() - c.kept);
    cache.hand_over(DecodeCache::Side::kKeys, other_keys, handed_keys);
    cache.hand_over(DecodeCache::Side::kValues, other_values, handed_values);
  };
  const auto seen = [](const at::Tensor& x, const OtherForm& other, std::int64_t handed, std::int64_t length) {
    return concatenate({other.numbers().narrow(2, 0, handed), x.narrow(2, handed, length - handed)}, 2);
  };
  cache.reserve(c.prompt);
  for (std::int64_t unit = 0; unit < h.sequences * h.kv_heads; ++unit) {
    const std::int64_t place = unit * tokens * h.dim;
    cache.put(unit / h.kv_heads, unit % h.kv_heads, c.prompt, k.const_data_ptr<float>() + place,
              v.const_data_ptr<float>() + place, h.dim, h.dim);
  }
  cache.advance(c.prompt);
  hand_over();
  cache.fit();
  at::Tensor out = make_empty({h.sequences, h.heads, h.dim}, DType::kFloat32);
  for (std::int64_t token = c.prompt; token < tokens; ++token) {
    at::Tensor own_q = q.select(2, token).clone();
    at::Tensor own_k = k.select(2, token).clone();
    const at::Tensor own_v = v.select(2, token).contiguous();
    const DecodeAttention attention{.heads = h.heads,
                                    .kv_heads = h.kv_heads,
                                    .dim = h.dim,
                                    .scale = 0.3,
                                    .window = h.window,
                                    .cos = cos.const_data_ptr<float>(),
                                    .sin = sin.const_data_ptr<float>(),
                                    .q = own_q.mutable_data_ptr<float>(),
                                    .k = own_k.mutable_data_ptr<float>(),
                                    .v = own_v.const_data_ptr<float>(),
                                    .out = out.mutable_data_ptr<float>(),
                                    .scratch = scratch.data()};
    attention.run(cache);
    const at::Tensor expected =
        causal_attention(q.narrow(2, token, 1), seen(k, other_keys, handed_keys, token + 1),
                         seen(v, other_values, handed_values, token + 1), 0.3, h.window, /*deterministic=*/true)
            .select(2, 0);
    ASSERT_LT(out.sub(expected).abs().max().item<double>(), float_panels_available() ? 1e-30 : 1e-4)
        << h << ", token " << token;
    hand_over();
    EXPECT_EQ(cache.bytes(), (2 * (token + 1) - handed_keys / 8 * 8 - handed_values / 8 * 8) * cache.token_bytes());
  }
}

TEST(DecodeAttention, ReadsWhatWasHandedOverFromItsOtherForm) {
  if (!decode_operations_available()) GTEST_SKIP() << "the processor lacks AVX2";
  for (const HandOver& c : {HandOver{{1, 9, 3, 64, 0}, 100, 20, 32}, HandOver{{2, 5, 1, 16, 0}, 3, 0, 1},
                            HandOver{{2, 2, 2, 8, 30}, 70, 5, 12}, HandOver{{1, 2, 1, 512, 0}, 40, 11, 8},
                            HandOver{{1, 3, 3, 80, 0}, 1, 64, 64}}) {
    expect_attention_to_other_form(c, 160);
  }
}

TEST(DecodeCache, GivesBackTheRoomOfWhatWasHandedOver) {
  const at::Tensor numbers = random_tensor({1, 1, 1000, 8}, "numbers");
  const OtherForm other(numbers);
  DecodeCache cache(1, 1, 8, 1000, DecodeCache::Room::kGrowing);
  cache.reserve(900);
  cache.put(0, 0, 900, numbers.const_data_ptr<float>(), numbers.const_data_ptr<float>(), 8, 8);
  cache.advance(900);
  for (const auto side : {DecodeCache::Side::kKeys, DecodeCache::Side::kValues}) cache.hand_over(side, other, 893);
  EXPECT_EQ(cache.bytes(), 2 * (900 - 888) * 8 * 4);
  cache.fit();
  std::vector<float> rows(7 * 8);
  for (const auto side : {DecodeCache::Side::kKeys, DecodeCache::Side::kValues}) {
    cache.read(side, 893, 7, rows.data());
    EXPECT_TRUE(tensor_of(std::span<const float>(rows))
                    .view({7, 8})
                    .equal(numbers.select(0, 0).select(0, 0).narrow(0, 893, 7)));
  }
}

TEST(DecodeCache, RefusesHeadsThatDoNotFitItsLayoutAndTokensBeyondItsRoom) {
  EXPECT_EQ(testing::error_text(ErrorCode::kInternal, [] { DecodeCache(1, 1, 12, 8); }),
            "decode cache: heads of 12 numbers, expected a multiple of 8 up to 512");
  DecodeCache cache(1, 1, 8, 8);
  const std::vector<float> numbers(9 * 8);
  EXPECT_EQ(
      testing::error_text(ErrorCode::kInternal, [&] { cache.put(0, 0, 9, numbers.data(), numbers.data(), 8, 8); }),
      "decode cache: 9 tokens behind 0, with room for 8");
}

}  // namespace
}  // namespace lowbit
