#include "quantization/solvers/asymmetry.h"

#include <algorithm>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/product_update.h"

namespace lowbit {
namespace {

constexpr std::int64_t kBlock = 64;

// `body(begin, end)` for blocks of 0 .. size - 1, in parallel.
template <typename Body>
void for_blocks(std::int64_t size, const Body& body) {
  parallel_for((size + kBlock - 1) / kBlock, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) body(block * kBlock, std::min((block + 1) * kBlock, size));
  });
}

}  // namespace

at::Tensor asymmetry_correction(at::Tensor cross, const at::Tensor& upper, double alpha) {
  if (!upper.is_cpu()) {
    cross = cross.matmul(upper.t()).triu_(1);
    cross = cross.matmul(upper).mul_(alpha).triu_(1);
    return to_dtype(cross, DType::kFloat32);
  }
  const std::int64_t size = upper.size(0);
  const at::Tensor left = cross.contiguous();
  const at::Tensor right = upper.contiguous();
  const at::Tensor transposed = upper.t().contiguous();
  const double* d = values_of<double>(left).data();
  const double* u = values_of<double>(right).data();
  const double* ut = values_of<double>(transposed).data();

  // -D U^T. U is upper triangular, so that columns from `begin` on need the depth from `begin` on only.
  at::Tensor product = make_zeros({size, size}, DType::kFloat64);
  double* p = mutable_values_of<double>(product).data();
  for_blocks(size, [&](std::int64_t begin, std::int64_t end) {
    const UpdateShape shape{end, end - begin, size - begin, size, size, size};
    subtract_products(p + begin, d + begin, ut + begin * size + begin, shape);
  });
  product.triu_(1);
  const double* t = values_of<double>(product).data();

  // Rows from `begin` on have nothing before column `begin` in the triangle.
  at::Tensor result = make_zeros({size, size}, DType::kFloat64);
  double* r = mutable_values_of<double>(result).data();
  for_blocks(size, [&](std::int64_t begin, std::int64_t end) {
    const UpdateShape shape{end - begin, size - begin, size - begin, size, size, size};
    subtract_products(r + begin * size + begin, t + begin * size + begin, u + begin * size + begin, shape);
  });
  return to_dtype(result.mul_(alpha).triu_(1), DType::kFloat32).contiguous();
}

}  // namespace lowbit
