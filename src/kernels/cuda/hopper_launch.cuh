#pragma once

#include "kernels/cuda/half_sums.h"
#include "kernels/cuda/hopper_float8.h"
#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/integer.h"
#include "kernels/cuda/report.h"

// The library's functions for Hopper, which hopper*.cu define.
namespace lowbit::kernels::cuda {

bool hopper_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
bool hopper_sliced_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
bool hopper_rounded_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
bool hopper_rounded_turns_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
bool hopper_bytes_product(ByteKernel kernel, const IntegerProduct& call, const Launch& launch, Report* report);
bool hopper_float8_product(const Float8Product& call, const Launch& launch, Report* report);
bool arrange_operands(const OperandCall& call, const Launch& launch, Report* report);
bool count_clusters(HopperClusters* result, Report* report);

}  // namespace lowbit::kernels::cuda
