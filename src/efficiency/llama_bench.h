#pragma once

#include <string>
#include <string_view>

#include "lowbit/efficiency/decode.h"

namespace lowbit {

/// Runs llama.cpp's llama-bench twice with one repetition each (behind its own warm-up): a prompt, and new tokens
/// behind as many others. Throws `kIo` when the program cannot be started, `kData` when it fails or prints something
/// else.
[[nodiscard]] RivalRates run_llama_bench(const LlamaBench& rival, const DecodeBenchOptions& options, int threads);

/// Tokens a second in what `llama-bench -o json` printed of one test. Throws `kData`.
[[nodiscard]] double llama_rate(std::string_view output);

}  // namespace lowbit
