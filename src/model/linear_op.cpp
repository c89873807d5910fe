#include "lowbit/model/linear_op.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/kernels/api.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "model/row_slices.h"
#include "tensor/linear.h"

namespace lowbit {
namespace {

// Hands over outputs [rows, columns] of the rows from `first_row` on and the columns from `first_column` on, a multiple
// of a part.
void take_outputs(const at::Tensor& outputs, std::int64_t first_row, std::int64_t first_column, OutputSink& sink) {
  const at::Tensor plain = to_dtype(outputs, DType::kFloat32).cpu().contiguous();
  const auto width = static_cast<std::size_t>(plain.size(1));
  const std::span<const float> numbers = values_of<float>(plain);
  parallel_for(plain.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto own = numbers.subspan(static_cast<std::size_t>(row) * width, width);
      for (std::size_t first = 0; first < width; first += kernels::kOutputPart) {
        sink.take(first_row + row, first_column + static_cast<std::int64_t>(first),
                  own.subspan(first, std::min<std::size_t>(kernels::kOutputPart, width - first)));
      }
    }
  });
}

class FloatLinear : public LinearOp {
 public:
  FloatLinear(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
    const bool fits =
        weight_.dim() == 2 && (!bias_.defined() || (bias_.dim() == 1 && bias_.size(0) == weight_.size(0)));
    if (!fits) fail(ErrorCode::kInternal, "linear: {} is no weight matrix", shape_text(shape_of(weight_)));
  }

  at::Tensor forward(const at::Tensor& x, bool deterministic) const override {
    return linear(x, weight_, bias_, deterministic);
  }
  // As many columns at a time as fill 4 MiB, so that outputs are taken while a cache holds them.
  void forward_parts(const at::Tensor& x, bool deterministic, OutputSink& sink) const override {
    if (!columns_stand_alone(x, weight_, bias_, deterministic)) return take_whole_rows(x, deterministic, sink);
    constexpr std::int64_t kOutputs = std::int64_t{1} << 20;
    constexpr std::int64_t kLeastParts = 16;
    const std::int64_t step = std::max(kOutputs / x.size(0) / kernels::kOutputPart, kLeastParts) * kernels::kOutputPart;
    for (std::int64_t column = 0; column < out_features(); column += step) {
      const std::int64_t count = std::min(step, out_features() - column);
      const at::Tensor bias = bias_.defined() ? bias_.narrow(0, column, count) : bias_;
      take_outputs(linear(x, weight_.narrow(0, column, count), bias, deterministic), 0, column, sink);
    }
  }
  std::int64_t in_features() const override { return weight_.size(1); }
  std::int64_t out_features() const override { return weight_.size(0); }
  at::Tensor dense_weight() const override { return to_dtype(weight_, DType::kFloat32).cpu(); }
  at::Tensor float_weight() const override { return weight_; }
  at::Tensor bias() const override { return bias_; }
  std::int64_t weight_bytes() const override { return static_cast<std::int64_t>(weight_.nbytes()); }

 private:
  void take_whole_rows(const at::Tensor& x, bool deterministic, OutputSink& sink) const {
    std::int64_t rows = 0;
    for (std::int64_t row = 0; row < x.size(0); row += rows) {
      rows = rows_of_slice(x.size(0) - row, kWholeRows);
      take_outputs(forward(x.narrow(0, row, rows), deterministic), row, 0, sink);
    }
  }

  at::Tensor weight_;  // [out, in]
  at::Tensor bias_;    // [out] or undefined
};

using Executions = std::span<const std::shared_ptr<const LinearExecution>>;

// A product with what runs around it, as the execution before them sees it.
class ExecutedLinear : public LinearOp {
 public:
  ExecutedLinear(const LinearOp& op, Executions executions) : op_(op), executions_(executions) {}

  at::Tensor forward(const at::Tensor& x, bool deterministic) const override {
    if (executions_.empty()) return op_.forward(x, deterministic);
    return executions_.front()->run(x, ExecutedLinear(op_, executions_.subspan(1)), deterministic);
  }
  std::int64_t in_features() const override { return op_.in_features(); }
  std::int64_t out_features() const override { return op_.out_features(); }
  at::Tensor dense_weight() const override { return op_.dense_weight(); }
  at::Tensor bias() const override { return op_.bias(); }
  std::int64_t weight_bytes() const override { return op_.weight_bytes(); }

 private:
  const LinearOp& op_;
  Executions executions_;
};

}  // namespace

void LinearOp::forward_parts(const at::Tensor& x, bool deterministic, OutputSink& sink) const {
  take_in_parts(forward(x, deterministic), sink);
}

void take_in_parts(const at::Tensor& outputs, OutputSink& sink) { take_outputs(outputs, 0, 0, sink); }

std::shared_ptr<LinearOp> make_float_linear(at::Tensor weight, at::Tensor bias) {
  return std::make_shared<FloatLinear>(std::move(weight), std::move(bias));
}

at::Tensor LinearSlot::forward(const at::Tensor& x, bool deterministic) const {
  return ExecutedLinear(*op, executions).forward(x, deterministic);
}

at::Tensor LinearSlot::mapped_input(at::Tensor x) const {
  for (const auto& execution : executions) x = execution->map_input(x);
  return x;
}

}  // namespace lowbit
