#pragma once

#include "kernels/cuda/expand.h"
#include "kernels/cuda/expand_codes.h"
#include "kernels/cuda/report.h"

// The library's functions around a library's product, which expand.cu defines.
namespace lowbit::kernels::cuda {

bool expand_codes(const ExpandCodesCall* call, const Launch* launch, Report* report);
bool finish_bytes(const FinishBytesCall* call, const Launch* launch, Report* report);
bool expand_table(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report);

}  // namespace lowbit::kernels::cuda
