#pragma once

#include "kernels/cuda/host_device.h"

// Which element of a matrix instruction's operands a lane's register holds, as the PTX documentation gives it
// (mma.m16n8k16 with .f16/.bf16, mma.m16n8k32 with .u8/.s8). A is [16, K], B is [K, 8], C is [16, 8].
namespace lowbit::kernels::cuda {

struct Element {
  int row;
  int column;
};

/// 16-bit elements; `index` 0..7 counts those of a lane's four registers.
LOWBIT_HOST_DEVICE constexpr Element element_of_a16(int lane, int index) {
  return {lane / 4 + (index / 2 % 2) * 8, lane % 4 * 2 + index % 2 + index / 4 * 8};
}
/// Row is k; `index` 0..3.
LOWBIT_HOST_DEVICE constexpr Element element_of_b16(int lane, int index) {
  return {lane % 4 * 2 + index % 2 + index / 2 * 8, lane / 4};
}
/// Bytes; `index` 0..15.
LOWBIT_HOST_DEVICE constexpr Element element_of_a8(int lane, int index) {
  return {lane / 4 + (index / 4 % 2) * 8, lane % 4 * 4 + index % 4 + index / 8 * 16};
}
/// `index` 0..7.
LOWBIT_HOST_DEVICE constexpr Element element_of_b8(int lane, int index) {
  return {lane % 4 * 4 + index % 4 + index / 4 * 16, lane / 4};
}
/// float32 or int32; `index` 0..3.
LOWBIT_HOST_DEVICE constexpr Element element_of_c(int lane, int index) {
  return {lane / 4 + index / 2 * 8, lane % 4 * 2 + index % 2};
}

}  // namespace lowbit::kernels::cuda
