#pragma once

#include "kernels/cuda/attention_dispatch.h"

// The library's functions of attention, which attention.cu defines.
namespace lowbit::kernels::cuda {

bool round_tokens(const KvRoundCall* call, const Launch* launch, Report* report);
bool attend(const AttentionCall* call, const Launch* launch, Report* report);

}  // namespace lowbit::kernels::cuda
