#include "lowbit/tensor/packed.h"

#include <ATen/ops/_int_mm.h>
#include <ATen/ops/linear.h>

#include <cstddef>
#include <span>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {

namespace {

void run_on_pool(void*, std::int64_t count, kernels::Executor::Body body, void* state) {
  parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) { body(state, begin, end); });
}

at::Tensor as_float_rows(const at::Tensor& tensor) { return to_dtype(tensor, DType::kFloat32).contiguous(); }

}  // namespace

kernels::Executor pool_executor() { return {run_on_pool, nullptr}; }

at::Tensor packed_linear(const at::Tensor& x, const kernels::PackedWeight& weight, const at::Tensor& bias,
                         kernels::Arithmetic arithmetic, std::string_view backend) {
  if (x.dim() < 1 || x.size(-1) != weight.columns()) {
    fail(ErrorCode::kInternal, "packed product: the input is {}, expected [..., {}]", shape_text(shape_of(x)),
         weight.columns());
  }
  const at::Tensor input = as_float_rows(x);
  Shape shape = shape_of(x);
  shape.back() = weight.rows();
  at::Tensor output = make_empty(shape, DType::kFloat32);
  const std::int64_t tokens = input.numel() / weight.columns();
  std::vector<std::byte> workspace(kernels::workspace_bytes(weight, arithmetic, tokens, backend));
  const at::Tensor bias_row = bias.defined() ? as_float_rows(bias) : bias;
  kernels::Epilogue epilogue;
  if (bias.defined()) epilogue.bias = values_of<float>(bias_row);
  kernels::multiply({weight,
                     arithmetic,
                     {input.const_data_ptr<float>(), tokens, weight.columns(), weight.columns()},
                     {output.mutable_data_ptr<float>(), tokens, weight.rows(), weight.rows()},
                     epilogue,
                     workspace,
                     pool_executor(),
                     backend});
  return to_dtype(output, dtype_of(x));
}

at::Tensor library_linear(const at::Tensor& x, const at::Tensor& weight) { return at::linear(x, weight); }

at::Tensor library_int8_product(const at::Tensor& x, const at::Tensor& weight) { return at::_int_mm(x, weight.t()); }

}  // namespace lowbit
