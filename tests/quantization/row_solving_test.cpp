#include "quantization/driver/row_solving.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/driver/layer_error.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rtn.h"

namespace lowbit {
namespace {

using testing::normal_matrix;

// A matrix that gives rows, or not, and never the whole.
class RowsOf : public LinearOp {
 public:
  explicit RowsOf(at::Tensor weight, bool gives_rows = true) : weight_(std::move(weight)), gives_rows_(gives_rows) {}
  at::Tensor forward(const at::Tensor&, bool) const override { fail(ErrorCode::kInternal, "multiplied"); }
  std::int64_t in_features() const override { return weight_.size(1); }
  std::int64_t out_features() const override { return weight_.size(0); }
  at::Tensor dense_weight() const override { fail(ErrorCode::kInternal, "read whole"); }
  std::optional<at::Tensor> dense_rows(std::int64_t first, std::int64_t count) const override {
    if (!gives_rows_) return std::nullopt;
    return weight_.narrow(0, first, count);
  }
  at::Tensor bias() const override { return {}; }
  std::int64_t weight_bytes() const override { return 0; }

 private:
  at::Tensor weight_;
  bool gives_rows_;
};

struct Reported {
  LinearProblem problem;
  std::vector<std::pair<std::string, double>> events;
  Reported() {
    problem.layer = "model.layers.0.mlp.up_proj";
    problem.report = [this](std::string_view what, double value) { events.emplace_back(what, value); };
  }
};

// 3000 rows of 256 numbers are three parts, the last of which is shorter.
at::Tensor weight_of_parts() {
  at::Tensor weight = normal_matrix(3000, 256, "rows");
  weight.narrow(0, 5, 1).zero_();
  weight.narrow(0, 2999, 1).zero_();
  return weight;
}

TEST(SolveByRows, FindsWhatTheWholeMatrixGives) {
  const at::Tensor weight = weight_of_parts();
  std::vector<RtnOptions> cases(4);
  cases[1].grid.group = -1;
  cases[1].grid.symmetry = Symmetry::kSymRestricted;
  cases[2].grid = GridOptions::of(NumberFormat::kNf4);
  cases[3].clip = Clip::kMse;
  for (const RtnOptions& options : cases) {
    const RtnSolver solver(options);
    Reported whole, parts;
    whole.problem.weight = weight;
    const QuantizedWeight expected = solver.solve(whole.problem);
    const int before = thread_count();
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      parts.events.clear();
      const std::optional<RowSolution> found = solve_by_rows(RowsOf(weight), solver, parts.problem);
      ASSERT_TRUE(found.has_value()) << solver.grid().text();
      EXPECT_EQ(found->weight.content_hash(), expected.content_hash()) << solver.grid().text();
      EXPECT_EQ(found->weight_error, relative_error(weight, expected.dequantize())) << solver.grid().text();
      EXPECT_EQ(parts.events, whole.events);
      EXPECT_EQ(parts.events.size(), 1U);
    }
    set_thread_count(before);
  }
}

TEST(SolveByRows, LeavesGridsOfTheWholeMatrixAlone) {
  const at::Tensor weight = normal_matrix(8, 64, "rows");
  std::vector<RtnOptions> cases(3);
  cases[0].grid.group = 0;
  cases[1].grid.nested_bits = 3;
  cases[2].grid = GridOptions::of(NumberFormat::kNvfp4);
  for (const RtnOptions& options : cases) {
    const RtnSolver solver(options);
    EXPECT_FALSE(solve_by_rows(RowsOf(weight), solver, Reported().problem).has_value()) << solver.grid().text();
  }
  EXPECT_FALSE(solve_by_rows(RowsOf(weight, false), RtnSolver({}), Reported().problem).has_value());
}

TEST(SolveByRows, NamesTheLayerThatHoldsNaN) {
  at::Tensor weight = weight_of_parts();
  weight.narrow(0, 2500, 1).fill_(std::nan(""));
  try {
    (void)solve_by_rows(RowsOf(weight), RtnSolver({}), Reported().problem);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_STREQ(error.what(),
                 "layer 'model.layers.0.mlp.up_proj': the weight holds NaN or Inf; nothing can be rounded to it");
  }
}

}  // namespace
}  // namespace lowbit
