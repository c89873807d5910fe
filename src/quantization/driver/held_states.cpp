#include "quantization/driver/held_states.h"

#include <algorithm>

#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// Each sequence begins on a cache line, whatever its width and type.
constexpr std::int64_t kRowMultiple = 32;

}  // namespace

bool HeldStates::reserve(const Block& block, const std::vector<at::Tensor>& inputs) {
  const Architecture& architecture = block.architecture();
  hidden_ = architecture.hidden;
  widest_ = std::max({hidden_, architecture.intermediate, architecture.heads * architecture.head_dim});
  first_rows_.assign(1, 0);
  for (const at::Tensor& input : inputs) {
    const std::int64_t rows = (input.size(1) + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
    first_rows_.push_back(first_rows_.back() + rows);
  }
  const std::int64_t elements = first_rows_.back() * (hidden_ + widest_);
  const ComputeOptions& compute = block.options();
  if (elements * dtype_bytes(compute.dtype) > limit_bytes_) return false;
  if (!memory_.defined() || memory_.numel() < elements) {
    memory_ = at::Tensor();
    memory_ = to_place(make_empty({elements}, compute.dtype), compute.dtype, compute.device);
  }
  return true;
}

void HeldStates::keep_residual(std::size_t sequence, at::Tensor& residual) const {
  keep(first_rows_[sequence] * hidden_, residual);
}

void HeldStates::keep_input(std::size_t sequence, at::Tensor& x) const {
  keep(first_rows_.back() * hidden_ + first_rows_[sequence] * widest_, x);
}

void HeldStates::keep(std::int64_t first, at::Tensor& values) const {
  const at::Tensor place = memory_.narrow(0, first, values.numel()).view(values.sizes());
  if (place.const_data_ptr() != values.const_data_ptr()) place.copy_(values);
  values = place;
}

}  // namespace lowbit
