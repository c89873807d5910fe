#include "kernels/cuda/integer_launch.cuh"

namespace lowbit::kernels::cuda {

template bool DeviceWidths::integer<4>(int, const IntegerProduct&, const Launch&, Report*);
template bool DeviceWidths::integer_tiles<4>(const IntegerProduct&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
