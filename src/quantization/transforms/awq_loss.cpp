#include "quantization/transforms/awq_loss.h"

#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/transforms/group_scaling.h"

namespace lowbit {
namespace {

// Rows by themselves and then one after the other, so that the number of threads does not change the sum.
double squared_sum(const at::Tensor& x) {
  const at::Tensor rows = to_dtype(x.reshape({-1, x.size(-1)}).square().sum(-1), DType::kFloat64).contiguous();
  double sum = 0;
  for (const double row : values_of<double>(rows)) sum += row;
  return sum;
}

}  // namespace

ModuleLoss::ModuleLoss(const Block& block, const FusedGroup& group, std::vector<at::Tensor> inputs,
                       const RopeTable& rope)
    : block_(block), group_(group), inputs_(std::move(inputs)), rope_(rope) {
  if (group_.inspected == "attention" || group_.inspected == "mlp") {
    for (const at::Tensor& x : inputs_) targets_.push_back(output(block_, x));
    return;
  }
  LOWBIT_ASSERT(group_.linears.size() == 1 && group_.linears.front() == group_.inspected);
  std::vector<at::Tensor> rows;
  for (const at::Tensor& x : inputs_) rows.push_back(to_dtype(x.flatten(0, 1), DType::kFloat32));
  rows_ = concatenate(rows, 0);
  if (rows_.size(0) > rows_.size(1)) {
    gram_ = to_dtype(gram(rows_), DType::kFloat32);
    rows_ = at::Tensor();
  }
}

at::Tensor ModuleLoss::output(const Block& block, const at::Tensor& x) const {
  const at::Tensor out =
      group_.inspected == "attention" ? block.attention(x, rope_, nullptr, nullptr) : block.mlp(x, nullptr);
  return to_dtype(out, DType::kFloat32);
}

double ModuleLoss::of_linear(const at::Tensor& weight) const {
  const at::Tensor change = weight.sub(block_.linear(group_.inspected).op->dense_weight()).contiguous();
  if (!gram_.defined()) return squared_sum(linear(rows_, change, {}, true));
  const at::Tensor terms = linear(change, gram_, {}, true).mul(change);
  const at::Tensor rows = to_dtype(terms.sum(-1), DType::kFloat64).contiguous();
  double sum = 0;
  for (const double row : values_of<double>(rows)) sum += row;
  return sum;
}

// The sum over sequences only grows: one that has passed the limit needs no further ones.
double ModuleLoss::of(const std::vector<at::Tensor>& weights, double limit) const {
  LOWBIT_ASSERT(weights.size() == group_.linears.size());
  if (targets_.empty()) return of_linear(weights.front());
  Block trial = block_;
  for (std::size_t i = 0; i < weights.size(); ++i) replace_weight(trial, trial.linear(group_.linears[i]), weights[i]);
  double sum = 0;
  for (std::size_t i = 0; i < inputs_.size() && sum <= limit; ++i) {
    sum += squared_sum(output(trial, inputs_[i]).sub(targets_[i]));
  }
  return sum;
}

}  // namespace lowbit
