#pragma once

#include "kernels/cuda/cached_attention.h"
#include "kernels/cuda/gated.h"
#include "kernels/cuda/half_sums.h"
#include "kernels/cuda/report.h"
#include "kernels/cuda/rows.h"

// The library's functions of a decode step, which step.cu defines.
namespace lowbit::kernels::cuda {

bool norm_rows(const NormCall* call, const Launch* launch, Report* report);
bool gate_rows(const GateCall* call, const Launch* launch, Report* report);
bool attend_cached(const CachedAttentionCall* call, const Launch* launch, Report* report);
bool multiply_together(const HalfProduct* products, std::int32_t count, const Launch* launch, Report* report);
bool multiply_integers_together(const IntegerProduct* products, std::int32_t count, const Launch* launch,
                                Report* report);
bool multiply_gated(const GatedCall* call, const Launch* launch, Report* report);

}  // namespace lowbit::kernels::cuda
