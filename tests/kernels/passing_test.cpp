// What stands before and behind a product and runs inside it: `Input::maker` and `Output::taker`.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "kernel_cases.h"
#include "lowbit/kernels/together.h"
#include "support/error_text.h"

namespace lowbit::kernels::testing {
namespace {

// Copies tokens that are written elsewhere, and counts how often each was asked for.
struct Copying {
  const std::vector<float>& source;
  std::vector<float>& target;
  std::int64_t columns;
  std::vector<std::atomic<int>> made;
  Copying(const std::vector<float>& from, std::vector<float>& to, std::int64_t width)
      : source(from), target(to), columns(width), made(from.size() / static_cast<std::size_t>(width)) {}
  InputMaker maker() {
    const auto make = [](void* state, std::int64_t begin, std::int64_t end) {
      auto& self = *static_cast<Copying*>(state);
      for (std::int64_t token = begin; token < end; ++token) ++self.made[static_cast<std::size_t>(token)];
      std::copy_n(self.source.begin() + begin * self.columns, (end - begin) * self.columns,
                  self.target.begin() + begin * self.columns);
    };
    return {make, this};
  }
};

class Collecting {
 public:
  Collecting(std::int64_t tokens, std::int64_t rows)
      : rows_(rows), values_(static_cast<std::size_t>(tokens * rows), std::nanf("")) {}
  OutputTaker taker() {
    const auto take = [](void* state, std::int64_t token, std::int64_t row, std::int64_t count, const float* values) {
      static_cast<Collecting*>(state)->take(token, row, count, values);
    };
    return {take, this};
  }
  [[nodiscard]] const std::vector<float>& values() const { return values_; }
  [[nodiscard]] std::int64_t parts() const { return parts_; }

 private:
  void take(std::int64_t token, std::int64_t row, std::int64_t count, const float* values) {
    const std::scoped_lock lock(mutex_);
    EXPECT_EQ(row % kOutputPart, 0);
    EXPECT_EQ(count, std::min(kOutputPart, rows_ - row));
    std::copy_n(values, count, values_.begin() + token * rows_ + row);
    ++parts_;
  }
  std::int64_t rows_;
  std::mutex mutex_;
  std::vector<float> values_;
  std::int64_t parts_ = 0;
};

const WeightCase kWeight{.rows = 150, .columns = 200, .group = 64, .outliers = 9};

// Up to parts of tokens that are not whole (96 at most), on one thread and on several.
template <typename Check>
void for_all_ways(Check check) {
  std::int64_t part = 3;
  for (const std::string& backend : usable_backends()) {
    for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kFloat32}) {
      for (const std::int64_t tokens : {1, 5, 96, 97, 250}) {
        for (const Executor& executor : {Executor{}, Executor{run_on_threads, &part}}) {
          check(backend, arithmetic, tokens, executor);
        }
      }
    }
  }
}

TEST(InputMaker, IsAskedOnceForEachTokenBeforeItIsRead) {
  const PackedWeight weight = PackedWeight::pack(make_weight(kWeight).view());
  const PackedWeight other = PackedWeight::pack(make_weight({.rows = 20, .columns = 200, .group = 32}).view());
  for_all_ways([&](const std::string& backend, Arithmetic arithmetic, std::int64_t tokens, const Executor& executor) {
    const std::vector<float> source = make_input(tokens, 200);
    const std::size_t bytes = workspace_bytes(weight, arithmetic, tokens, backend);
    std::vector<std::byte> space(bytes);
    std::vector<std::byte> other_space(workspace_bytes(other, arithmetic, tokens, backend));
    for (const bool together : {false, true}) {
      std::vector<float> input(source.size(), std::nanf(""));
      std::vector<float> output(static_cast<std::size_t>(tokens * 150), std::nanf(""));
      std::vector<float> other_output(static_cast<std::size_t>(tokens * 20), std::nanf(""));
      Copying copying(source, input, 200);
      const Input made{input.data(), tokens, 200, 200, copying.maker()};
      const Product product{weight, arithmetic, made, {output.data(), tokens, 150, 150}, {}, space, executor, backend};
      if (together) {
        // Its groups are others, so that its activations are arranged apart.
        const Product products[] = {
            product,
            {other, arithmetic, made, {other_output.data(), tokens, 20, 20}, {}, other_space, executor, backend}};
        multiply_together(products);
        EXPECT_EQ(Bits{other_output}, run_product(other, arithmetic, source, backend));
      } else {
        multiply(product);
      }
      EXPECT_EQ(Bits{output}, run_product(weight, arithmetic, source, backend)) << backend << ", " << tokens;
      for (const auto& count : copying.made) EXPECT_EQ(count, 1);
    }
  });
}

TEST(OutputTaker, GetsEveryPartOnceWithTheBitsOfTheOutput) {
  const PackedWeight weight = PackedWeight::pack(make_weight(kWeight).view());
  const std::vector<float> bias = make_input(1, 150, 8);
  for_all_ways([&](const std::string& backend, Arithmetic arithmetic, std::int64_t tokens, const Executor& executor) {
    const std::vector<float> input = make_input(tokens, 200);
    const std::vector<float> residual = make_input(tokens, 150, 9);
    std::vector<std::byte> space(workspace_bytes(weight, arithmetic, tokens, backend));
    const Epilogue epilogue{bias, residual.data(), 150};
    Collecting collecting(tokens, 150);
    multiply({weight,
              arithmetic,
              {input.data(), tokens, 200, 200},
              {nullptr, tokens, 150, 0, collecting.taker()},
              epilogue,
              space,
              executor,
              backend});
    EXPECT_EQ(collecting.parts(), tokens * 3);
    EXPECT_EQ(Bits{collecting.values()}, run_product(weight, arithmetic, input, backend, epilogue))
        << backend << ", " << arithmetic_name(arithmetic) << ", " << tokens << " tokens";
  });
}

TEST(OutputTaker, IsToldOfAWrongShape) {
  const PackedWeight weight = PackedWeight::pack(make_weight(kWeight).view());
  const std::vector<float> input = make_input(2, 200);
  std::vector<std::byte> space(workspace_bytes(weight, Arithmetic::kInt8, 2, {}));
  Collecting collecting(2, 150);
  EXPECT_EQ(lowbit::testing::error_text(ErrorCode::kInternal,
                                        [&] {
                                          multiply({weight,
                                                    Arithmetic::kInt8,
                                                    {input.data(), 2, 200, 200},
                                                    {nullptr, 2, 149, 0, collecting.taker()},
                                                    {},
                                                    space,
                                                    {},
                                                    {}});
                                        }),
            "product: output is 149 wide, expected 150 for this weight");
}

}  // namespace
}  // namespace lowbit::kernels::testing
