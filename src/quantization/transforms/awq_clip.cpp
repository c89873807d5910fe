#include "quantization/transforms/awq_clip.h"

#include <vector>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/transforms/awq_candidates.h"

namespace lowbit {
namespace {

// The groups of a row with what the error of each needs: x_g^T x_g stands for all tokens.
struct Group {
  std::int64_t begin;
  std::int64_t count;
  at::Tensor gram;  // [count, count] float32
};

std::vector<Group> make_groups(const at::Tensor& inputs, std::int64_t columns, std::int64_t group) {
  std::vector<Group> groups;
  for (const auto& [begin, count] : column_ranges(columns, group)) {
    groups.push_back({begin, count, to_dtype(gram(inputs.narrow(1, begin, count).contiguous()), DType::kFloat32)});
  }
  return groups;
}

// A number a row and group, [out, groups], for each column: [out, in].
at::Tensor spread(const at::Tensor& values, const std::vector<Group>& groups) {
  std::vector<at::Tensor> parts;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    parts.push_back(values.narrow(1, static_cast<std::int64_t>(g), 1).expand({values.size(0), groups[g].count}));
  }
  return concatenate(parts, 1);
}

at::Tensor group_errors(const at::Tensor& change, const std::vector<Group>& groups) {
  std::vector<at::Tensor> errors;
  for (const Group& group : groups) {
    const at::Tensor part = change.narrow(1, group.begin, group.count).contiguous();
    errors.push_back(linear(part, group.gram, {}, true).mul(part).sum(-1));
  }
  return stack_tensors(errors, 1);
}

at::Tensor clamp_to(const at::Tensor& weight, const at::Tensor& limit) {
  return weight.minimum(limit).maximum(limit.neg());
}

}  // namespace

at::Tensor clip_to_least_error(const at::Tensor& weight, const at::Tensor& inputs, const WeightSolver& solver,
                               const ClipOptions& options, const std::function<void()>& check_cancelled) {
  const std::vector<Group> groups = make_groups(inputs, weight.size(1), solver.grid().group);
  std::vector<at::Tensor> maxima;
  for (const Group& group : groups) maxima.push_back(weight.narrow(1, group.begin, group.count).abs().amax({1}));
  const at::Tensor largest = stack_tensors(maxima, 1);
  at::Tensor least;
  at::Tensor best = largest;
  const int steps = static_cast<int>(options.max_shrink * options.grid);
  for (int i = 0; i < steps; ++i) {
    check_cancelled();
    const at::Tensor limit = largest.mul(1.0 - static_cast<double>(i) / options.grid);
    const at::Tensor clamped = clamp_to(weight, spread(limit, groups));
    const at::Tensor error = group_errors(solver.approximate(clamped).sub(weight), groups);
    if (i == 0) {
      least = error;
      continue;
    }
    const at::Tensor better = error.lt(least);
    least = error.minimum(least);
    best = limit.where(better, best);
  }
  return clamp_to(weight, spread(best, groups));
}

}  // namespace lowbit
