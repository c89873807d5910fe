#include "tensor/column_kernel.h"

#include <limits>
#include <utility>

#include "kernels/cuda/library.h"
#include "lowbit/base/error.h"
#include "tensor/device_weight.h"

namespace lowbit {
namespace {

namespace cuda = kernels::cuda;

#ifdef LOWBIT_HAS_CUDA_KERNELS
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;
#endif

// Null without a tensor.
float* numbers_of(const at::Tensor& tensor) {
  LOWBIT_ASSERT(!tensor.defined() || tensor.is_contiguous());
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

}  // namespace

bool ColumnKernel::serves(at::Device device) {
  return !device.is_cpu() && (kernels_named() || (kBuilt && device.is_cuda()));
}

std::int64_t ColumnKernel::most_columns(bool carries) { return cuda::most_solved_columns(carries); }

ColumnKernel::ColumnKernel(at::Tensor scales, at::Tensor zeros, int bits, bool real_zeros)
    : library_(std::make_unique<const cuda::Library>(open_kernels())),
      scales_(std::move(scales)),
      zeros_(std::move(zeros)),
      bits_(bits),
      real_zeros_(real_zeros) {
  LOWBIT_ASSERT(scales_.is_contiguous() && zeros_.is_contiguous() && scales_.sizes() == zeros_.sizes());
  LOWBIT_ASSERT(scales_.size(1) <= std::numeric_limits<std::int32_t>::max());
  library_->require_device(index_of(scales_.device()));
}
ColumnKernel::~ColumnKernel() = default;

void ColumnKernel::solve(const DeviceColumns& columns) const {
  const at::Tensor& weights = columns.weights;
  LOWBIT_ASSERT(weights.is_contiguous() && columns.codes.is_contiguous() && columns.upper.stride(1) == 1);
  LOWBIT_ASSERT(!columns.carry.defined() || columns.carry.strides() == columns.upper.strides());
  LOWBIT_ASSERT(weights.size(1) == scales_.size(1) && weights.size(0) <= most_columns(columns.carry.defined()));
  const cuda::SolveColumnsCall call = {weights.mutable_data_ptr<float>(),
                                       columns.upper.const_data_ptr<float>(),
                                       scales_.const_data_ptr<float>(),
                                       zeros_.const_data_ptr<float>(),
                                       columns.groups.const_data_ptr<std::int32_t>(),
                                       columns.codes.mutable_data_ptr<std::uint8_t>(),
                                       columns.upper.stride(0),
                                       static_cast<std::int32_t>(weights.size(1)),
                                       static_cast<std::int32_t>(weights.size(0)),
                                       (1 << bits_) - 1,
                                       real_zeros_,
                                       columns.carry.defined() ? columns.carry.const_data_ptr<float>() : nullptr,
                                       numbers_of(columns.carried),
                                       numbers_of(columns.values)};
  const cuda::Launch launch = {current_stream(weights.device()), 0};
  cuda::Library::call("choosing the GPU", library_->table().use_device, index_of(weights.device()));
  cuda::Library::call("solving columns", library_->table().solve_columns, &call, &launch);
}

}  // namespace lowbit
