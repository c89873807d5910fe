#include "lowbit/tensor/two_form_attention.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/tensor/ops.h"
#include "support/error_text.h"
#include "tensor/tensor_cases.h"

namespace lowbit {
namespace {

using testing::random_tensor;

// Each query by itself, over keys and values put together for it.
at::Tensor one_by_one(const at::Tensor& q, const TwoForms& keys, const TwoForms& values, std::int64_t window) {
  const auto own = [&](const TwoForms& forms, std::int64_t query, std::int64_t seen) {
    const std::int64_t old = forms.old_count[static_cast<std::size_t>(query)];
    return concatenate({forms.old.narrow(2, 0, old), forms.recent.narrow(2, old, seen - old)}, 2);
  };
  std::vector<at::Tensor> outputs;
  const std::int64_t first = keys.recent.size(2) - q.size(2);
  for (std::int64_t query = 0; query < q.size(2); ++query) {
    outputs.push_back(causal_attention(q.narrow(2, query, 1), own(keys, query, first + query + 1),
                                       own(values, query, first + query + 1), 0.3, window, true));
  }
  return concatenate(outputs, 2);
}

class TwoFormAttention : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!two_form_attention_available(random_tensor({1, 1, 1, 1}, DType::kFloat32, "q"))) {
      GTEST_SKIP() << "attention is no chain over the keys on this processor";
    }
  }
  // `block` tokens become old together, once `kept` have come behind them.
  static std::vector<std::int64_t> counts(std::int64_t first, std::int64_t queries, std::int64_t kept,
                                          std::int64_t block) {
    std::vector<std::int64_t> result;
    for (std::int64_t token = first; token < first + queries; ++token) {
      result.push_back(std::max<std::int64_t>(0, token - kept) / block * block);
    }
    return result;
  }
};

TEST_F(TwoFormAttention, IsThatOfEachQueryByItself) {
  for (const auto& [tokens, queries] : {std::pair<std::int64_t, std::int64_t>{70, 43}, {40, 40}, {33, 1}, {90, 16}}) {
    const at::Tensor q = random_tensor({2, 6, queries, 20}, DType::kFloat32, "q");
    const auto tensor = [&](const char* name) { return random_tensor({2, 2, tokens, 20}, DType::kFloat32, name); };
    const at::Tensor k = tensor("k"), v = tensor("v"), old_k = tensor("old k"), old_v = tensor("old v");
    for (const std::int64_t window : {0, 11}) {
      for (const auto& [kept, block] :
           {std::pair<std::int64_t, std::int64_t>{0, 1}, {0, 16}, {7, 1}, {3, 5}, {200, 1}}) {
        const auto of_keys = counts(tokens - queries, queries, 0, block);
        const auto of_values = counts(tokens - queries, queries, kept, 1);
        const TwoForms keys{k, old_k, of_keys};
        const TwoForms values{v, old_v, of_values};
        const at::Tensor expected = one_by_one(q, keys, values, window);
        for (const int threads : {1, 3}) {
          const testing::ThreadCount scope(threads);
          EXPECT_TRUE(two_form_attention(q, keys, values, 0.3, window).equal(expected))
              << tokens << " " << queries << " " << window << " " << kept << " " << block;
        }
      }
    }
  }
}

TEST_F(TwoFormAttention, RefusesWhatDoesNotFit) {
  const at::Tensor x = random_tensor({1, 1, 4, 8}, DType::kFloat32, "x");
  const std::vector<std::int64_t> rising = {0, 1, 1, 2};
  const std::vector<std::int64_t> falling = {0, 2, 1, 1};
  EXPECT_EQ(testing::error_text(ErrorCode::kInternal,
                                [&] {
                                  (void)two_form_attention(x, {x, x, falling}, {x, x, rising}, 1, 0);
                                }),
            "attention: forms [1, 1, 4, 8] and [1, 1, 4, 8] of keys or values, and 4 counts for 4 queries, do not go "
            "together");
}

}  // namespace
}  // namespace lowbit
