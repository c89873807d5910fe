#include "quantization/transforms/awq_loss.h"

#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/transforms/group_scaling.h"

namespace lowbit {
namespace {

// Rows by themselves and then one after the other, so that the number of threads does not change the sum.
double sum_of_rows(const at::Tensor& x) {
  const at::Tensor rows = to_place(x.sum(-1), DType::kFloat64, at::kCPU).contiguous();
  double sum = 0;
  for (const double row : values_of<double>(rows)) sum += row;
  return sum;
}

double squared_sum(const at::Tensor& x) { return sum_of_rows(x.reshape({-1, x.size(-1)}).square()); }

}  // namespace

ModuleLoss::ModuleLoss(const Block& block, const FusedGroup& group, std::vector<at::Tensor> inputs,
                       const RopeTable& rope)
    : block_(block), group_(group), inputs_(std::move(inputs)), rope_(rope) {
  if (group_.inspected == "attention" || group_.inspected == "mlp") {
    for (const at::Tensor& x : inputs_) targets_.push_back(output(block_, x));
    return;
  }
  LOWBIT_ASSERT(group_.linears.size() == 1 && group_.linears.front() == group_.inspected);
  for (at::Tensor& x : inputs_) x = to_dtype(x.flatten(0, 1), DType::kFloat32);
  std::int64_t rows = 0;
  for (const at::Tensor& x : inputs_) rows += x.size(0);
  if (rows > inputs_.front().size(1)) {
    gram_ = to_place(gram(concatenate(inputs_, 0)), DType::kFloat32, inputs_.front().device());
  }
}

at::Tensor ModuleLoss::output(const Block& block, const at::Tensor& x) const {
  const at::Tensor out =
      group_.inspected == "attention" ? block.attention(x, rope_, nullptr, nullptr) : block.mlp(x, nullptr);
  return to_dtype(out, DType::kFloat32);
}

ModuleLoss::Trial ModuleLoss::with(const std::vector<at::Tensor>& weights) const {
  LOWBIT_ASSERT(weights.size() == group_.linears.size());
  Trial trial(*this);
  if (targets_.empty()) {
    const at::Tensor change = weights.front().sub(block_.linear(group_.inspected).op->dense_weight()).contiguous();
    trial.change_ = to_place(change, DType::kFloat32, inputs_.front().device());
    return trial;
  }
  trial.block_ = block_;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    replace_weight(*trial.block_, trial.block_->linear(group_.linears[i]), weights[i]);
  }
  return trial;
}

double ModuleLoss::Trial::of(std::size_t part) const {
  if (block_) return squared_sum(loss_.output(*block_, loss_.inputs_[part]).sub(loss_.targets_[part]));
  if (!loss_.gram_.defined()) return squared_sum(linear(loss_.inputs_[part], change_, {}, true));
  return sum_of_rows(linear(change_, loss_.gram_, {}, true).mul(change_));
}

double ModuleLoss::of(const std::vector<at::Tensor>& weights) const {
  const Trial trial = with(weights);
  double sum = 0;
  for (std::size_t part = 0; part < parts(); ++part) sum += trial.of(part);
  return sum;
}

}  // namespace lowbit
