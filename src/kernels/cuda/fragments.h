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

/// wgmma.m64nNk16: each of a group's four warps has sixteen rows of A [64, 16] and C [64, N] as above; `index` counts
/// C's eights of columns four values each.
LOWBIT_HOST_DEVICE constexpr Element element_of_group_a16(int thread, int index) {
  const Element in_warp = element_of_a16(thread % 32, index);
  return {thread / 32 * 16 + in_warp.row, in_warp.column};
}
/// wgmma.m64nNk32, of bytes.
LOWBIT_HOST_DEVICE constexpr Element element_of_group_a8(int thread, int index) {
  const Element in_warp = element_of_a8(thread % 32, index);
  return {thread / 32 * 16 + in_warp.row, in_warp.column};
}
LOWBIT_HOST_DEVICE constexpr Element element_of_group_c(int thread, int index) {
  const Element in_warp = element_of_c(thread % 32, index % 4);
  return {thread / 32 * 16 + in_warp.row, index / 4 * 8 + in_warp.column};
}

}  // namespace lowbit::kernels::cuda
