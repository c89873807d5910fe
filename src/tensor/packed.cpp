#include "lowbit/tensor/packed.h"

#include <ATen/ops/_int_mm.h>
#include <ATen/ops/linear.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {

namespace {

// Parts become smaller toward the end, so that threads end together though one may be held up. They are multiples of
// four items, which kernels take at once, while there are many left.
std::int64_t next_part(std::int64_t left, std::int64_t threads) {
  const std::int64_t part = left / (2 * threads) / 4 * 4;
  return part > 0 ? part : std::clamp<std::int64_t>(left / threads, 1, 2);
}

void run_on_pool(void*, std::int64_t count, kernels::Executor::Body body, void* state) {
  const std::int64_t threads = std::min<std::int64_t>(thread_count(), count);
  std::atomic<std::int64_t> next{0};
  const auto work = [&](std::int64_t, std::int64_t) {
    std::int64_t begin = next;
    while (begin < count) {
      const std::int64_t end = begin + next_part(count - begin, threads);
      if (!next.compare_exchange_weak(begin, end)) continue;
      body(state, begin, end);
      begin = next;
    }
  };
  parallel_for(threads, 1, std::ref(work));
}

at::Tensor as_float_rows(const at::Tensor& tensor) { return to_dtype(tensor, DType::kFloat32).contiguous(); }

void check_width(const at::Tensor& x, const kernels::PackedWeight& weight) {
  if (x.dim() >= 1 && x.size(-1) == weight.columns()) return;
  fail(ErrorCode::kInternal, "packed product: the input is {}, expected [..., {}]", shape_text(shape_of(x)),
       weight.columns());
}

void run(const at::Tensor& x, const kernels::PackedWeight& weight, const at::Tensor& bias,
         kernels::Arithmetic arithmetic, std::string_view backend, const kernels::Output& output) {
  const at::Tensor input = as_float_rows(x);
  std::vector<std::byte> workspace(kernels::workspace_bytes(weight, arithmetic, output.tokens, backend));
  const at::Tensor bias_row = bias.defined() ? as_float_rows(bias) : bias;
  kernels::Epilogue epilogue;
  if (bias.defined()) epilogue.bias = values_of<float>(bias_row);
  kernels::multiply({weight,
                     arithmetic,
                     {input.const_data_ptr<float>(), output.tokens, weight.columns(), weight.columns()},
                     output,
                     epilogue,
                     workspace,
                     pool_executor(),
                     backend});
}

}  // namespace

kernels::Executor pool_executor() { return {run_on_pool, nullptr}; }

at::Tensor packed_linear(const at::Tensor& x, const kernels::PackedWeight& weight, const at::Tensor& bias,
                         kernels::Arithmetic arithmetic, std::string_view backend) {
  check_width(x, weight);
  Shape shape = shape_of(x);
  shape.back() = weight.rows();
  at::Tensor output = make_empty(shape, DType::kFloat32);
  run(x, weight, bias, arithmetic, backend,
      {output.mutable_data_ptr<float>(), x.numel() / weight.columns(), weight.rows(), weight.rows()});
  return to_dtype(output, dtype_of(x));
}

void packed_linear_parts(const at::Tensor& x, const kernels::PackedWeight& weight, const at::Tensor& bias,
                         kernels::Arithmetic arithmetic, kernels::OutputTaker taker) {
  check_width(x, weight);
  run(x, weight, bias, arithmetic, {}, {nullptr, x.numel() / weight.columns(), weight.rows(), weight.rows(), taker});
}

at::Tensor library_linear(const at::Tensor& x, const at::Tensor& weight) { return at::linear(x, weight); }

at::Tensor library_int8_product(const at::Tensor& x, const at::Tensor& weight) { return at::_int_mm(x, weight.t()); }

}  // namespace lowbit
