#include "kernels/amx_unit.h"
#include "kernels/avx512_simd.h"
#include "kernels/matrix_bfloats.h"
#include "kernels/matrix_tiles.h"

namespace lowbit::kernels {

const Kernel& amx_int8_kernel() {
  static constexpr Kernel kKernel = {"matrix tiles of bytes", Form::kBytes, 1, MatrixTiles<Avx512, Amx>::run};
  return kKernel;
}

const Kernel& amx_bfloat16_kernel() {
  static constexpr Kernel kKernel = {"matrix tiles of bfloat16", Form::kBFloats, 1, MatrixBFloats<Avx512, Amx>::run};
  return kKernel;
}

const Kernel& amx_two_level_kernel() {
  static constexpr Kernel kKernel = {"matrix tiles of scaled bytes", Form::kBytes, 1,
                                     MatrixTiles<Avx512, Amx>::run_two_level};
  return kKernel;
}

}  // namespace lowbit::kernels
