#include "kernels/cuda/integer_launch.cuh"

namespace lowbit::kernels::cuda {

template bool DeviceWidths::integer<3>(int, const IntegerProduct&, const Launch&, Report*);
template bool DeviceWidths::integer_tiles<3>(const IntegerProduct&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
