#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "kernel_cases.h"
#include "kernels/activations.h"
#include "kernels/backend.h"
#include "support/error_text.h"

namespace lowbit::kernels {
namespace {

using lowbit::testing::error_text;
using testing::make_input;
using testing::make_weight;

// A sound product of 2 tokens with a weight [20, 70] that a test spoils.
class Misuse : public ::testing::Test {
 protected:
  Misuse()
      : weight_(PackedWeight::pack(make_weight({20, 70, 32, 4}).view())),
        input_(make_input(2, 70)),
        output_(2 * 20),
        space_(workspace_bytes(weight_, Arithmetic::kInt16, 2, "")) {}

  Product product() {
    return {weight_, Arithmetic::kInt16, {input_.data(), 2, 70, 70}, {output_.data(), 2, 20, 20}, {}, space_, {}, {}};
  }
  template <typename Spoil>
  std::string text_after(Spoil&& spoil) {
    Product spoilt = product();
    spoil(spoilt);
    return error_text(ErrorCode::kInternal, [&] { multiply(spoilt); });
  }

  PackedWeight weight_;
  std::vector<float> input_;
  std::vector<float> output_;
  std::vector<std::byte> space_;
};

TEST_F(Misuse, IsToldApartByWhatIsWrong) {
  EXPECT_EQ(text_after([](Product& p) { p.input.columns = 71; }),
            "product: input is 71 wide, expected 70 for this weight");
  EXPECT_EQ(text_after([](Product& p) { p.output.rows = 19; }),
            "product: output is 19 wide, expected 20 for this weight");
  EXPECT_EQ(text_after([](Product& p) { p.input.stride = 69; }),
            "product: input has stride 69, expected at least its width 70");
  EXPECT_EQ(text_after([](Product& p) { p.output.stride = -20; }),
            "product: output has stride -20, expected at least its width 20");
  EXPECT_EQ(text_after([](Product& p) { p.input.data = nullptr; }), "product: input is null, expected 2 tokens");
  EXPECT_EQ(text_after([](Product& p) { p.output.data = nullptr; }), "product: output is null, expected 2 tokens");
  EXPECT_EQ(text_after([](Product& p) { p.input.tokens = -1; }),
            "product: input has -1 tokens, expected 0 to 16777216");
  EXPECT_EQ(text_after([](Product& p) { p.input.tokens = p.output.tokens = std::int64_t{1} << 40; }),
            "product: input has 1099511627776 tokens, expected 0 to 16777216");
  EXPECT_EQ(text_after([](Product& p) { p.output.tokens = 1; }),
            "product: the input has 2 tokens and the output 1, expected as many");
  EXPECT_EQ(text_after([](Product& p) {
              p.input.data = reinterpret_cast<const float*>(reinterpret_cast<const char*>(p.input.data) + 1);
            }),
            "product: input begins at an address that is no multiple of 4");
  EXPECT_EQ(text_after([](Product& p) { p.epilogue.residual = p.input.data; }),
            "product: residual has stride 0, expected at least its width 20");
  const std::vector<float> bias(19);
  EXPECT_EQ(text_after([&](Product& p) { p.epilogue.bias = bias; }), "product: the bias has 19 numbers, expected 20");
  EXPECT_EQ(text_after([](Product& p) { p.workspace = {}; }),
            fmt::format("product: the workspace has 0 bytes, expected {} (workspace_bytes)", space_.size()));
}

TEST_F(Misuse, OfNoTokensIsNone) {
  Product empty = product();
  empty.input = {nullptr, 0, 70, 70};
  empty.output = {nullptr, 0, 20, 20};
  empty.workspace = {};
  multiply(empty);
  EXPECT_EQ(workspace_bytes(weight_, Arithmetic::kInt16, 0, ""), 0U);
}

TEST(Arithmetics, RefuseWeightsThatTheyCannotMultiply) {
  const auto text = [](const testing::WeightCase& c, Arithmetic arithmetic) {
    const PackedWeight weight = PackedWeight::pack(make_weight(c).view());
    return error_text(ErrorCode::kUnsupported, [&] { (void)explain(weight, arithmetic, 1); });
  };
  EXPECT_EQ(text({16, 64, 32, 4, Decoding::kRealZero}, Arithmetic::kInt8),
            "product: arithmetic 'int8' needs whole zero points, and this weight has real ones; use 'float32'");
  EXPECT_EQ(text({16, 64, 32, 4, Decoding::kTable}, Arithmetic::kInt16),
            "product: arithmetic 'int16' needs whole zero points, and this weight has a table of numbers; use "
            "'float32'");
  EXPECT_EQ(text({1, 65794, 65794, 8}, Arithmetic::kInt8),
            "product: arithmetic 'int8' takes groups of at most 65793 columns of 8 bits, and this weight has one of "
            "65794; use 'int16'");
  EXPECT_EQ(text({16, 64, 32, 4}, Arithmetic::kInt8TwoLevel),
            "product: arithmetic 'int8_two_level' needs scales that are whole multiples of one number a row, packed as "
            "uint8, and this weight's are packed as floats; use 'int8'");
  EXPECT_EQ(
      text({1, 131073, 64, 4, Decoding::kWholeZero, false, ScaleStorage::kUint8}, Arithmetic::kInt8TwoLevel),
      "product: arithmetic 'int8_two_level' takes at most 131072 columns, and this weight has 131073; use 'int8'");
}

// Sets LOWBIT_KERNELS for a scope.
class Variable {
 public:
  explicit Variable(const char* value) { ::setenv("LOWBIT_KERNELS", value, 1); }
  ~Variable() { ::unsetenv("LOWBIT_KERNELS"); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
};

TEST(Backends, AreForcedByOptionOrEnvironment) {
  const PackedWeight weight = PackedWeight::pack(make_weight({}).view());
  EXPECT_EQ(explain(weight, Arithmetic::kInt8, 1, "reference").backend, "reference");
  EXPECT_EQ(explain(weight, Arithmetic::kInt8, 1, "reference").reason, "asked for by the caller");
  const Variable variable("reference");
  EXPECT_EQ(explain(weight, Arithmetic::kInt8, 1).backend, "reference");
  EXPECT_EQ(explain(weight, Arithmetic::kInt8, 1).reason, "asked for by LOWBIT_KERNELS");
}

TEST(Backends, ThatDoNotExistAreErrors) {
  const PackedWeight weight = PackedWeight::pack(make_weight({}).view());
  const Variable variable("sse9");
  EXPECT_THAT(error_text(ErrorCode::kConfig, [&] { (void)explain(weight, Arithmetic::kInt8, 1); }),
              ::testing::StartsWith("kernels: unknown backend 'sse9' in LOWBIT_KERNELS; this build has 'reference'"));
  EXPECT_THAT(error_text(ErrorCode::kConfig, [&] { (void)explain(weight, Arithmetic::kInt8, 1, "cuda"); }),
              ::testing::StartsWith("kernels: unknown backend 'cuda' in the option; this build has 'reference'"));
}

TEST(Backends, SayWhatTheProcessorLacks) {
  for (const BackendState& state : backends()) {
    std::printf("backend %s: %s\n", state.name.c_str(), state.usable ? "ran natively" : state.reason.c_str());
    if (state.usable) continue;
    EXPECT_THAT(state.reason,
                ::testing::AnyOf(::testing::StartsWith("the processor lacks "), "the operating system denies AMX"));
    const PackedWeight weight = PackedWeight::pack(make_weight({}).view());
    EXPECT_EQ(error_text(ErrorCode::kUnsupported, [&] { (void)explain(weight, Arithmetic::kInt8, 1, state.name); }),
              fmt::format("kernels: backend '{}', which the option asks for, cannot be used here: {}", state.name,
                          state.reason));
  }
}

TEST(Backends, ThatComputeSomethingElseAreFoundOut) {
  // A kernel that leaves the sums at their start, with everything else of the reference's.
  static constexpr Kernel kIdle = {"idle", Form::kPlain, 1, [](const Call&) {}};
  const Backend idle{"idle", nullptr, [](Arithmetic arithmetic, int bits, std::int64_t tokens) {
                       return arithmetic == Arithmetic::kInt16 ? &kIdle : select_reference(arithmetic, bits, tokens);
                     }};
  EXPECT_EQ(self_check(idle), "its int16 product of 2 bits, group 64, 1 tokens differs from the reference's");
}

TEST(Dispatch, TakesTheKernelThatTheTableNames) {
  const auto usable = testing::usable_backends();
  if (std::ranges::find(usable, "avx2") == usable.end()) GTEST_SKIP() << "the processor lacks AVX2";
  const auto kernel = [](int bits, Arithmetic arithmetic, std::int64_t tokens) {
    const PackedWeight weight = PackedWeight::pack(make_weight({16, 64, 32, bits}).view());
    return explain(weight, arithmetic, tokens, "avx2").kernel;
  };
  for (const int bits : {2, 3, 4}) {
    EXPECT_EQ(kernel(bits, Arithmetic::kInt8, 1), "direct, bytes");
    EXPECT_EQ(kernel(bits, Arithmetic::kInt8, 4), "direct, bytes");
    EXPECT_EQ(kernel(bits, Arithmetic::kInt8, 5), "panels of bytes");
    EXPECT_EQ(kernel(bits, Arithmetic::kInt16, 2), "direct, two planes of bytes");
    EXPECT_EQ(kernel(bits, Arithmetic::kInt16, 3), "panels of 16-bit words");
  }
  EXPECT_EQ(kernel(8, Arithmetic::kInt8, 2), "direct, 16-bit words");
  EXPECT_EQ(kernel(8, Arithmetic::kInt8, 3), "panels of 16-bit words");
  EXPECT_EQ(kernel(8, Arithmetic::kInt16, 2), "direct, 16-bit words");
  EXPECT_EQ(kernel(8, Arithmetic::kInt16, 3), "panels of 16-bit words");
  EXPECT_EQ(kernel(4, Arithmetic::kFloat32, 1), "panels of float32");
}

}  // namespace
}  // namespace lowbit::kernels
