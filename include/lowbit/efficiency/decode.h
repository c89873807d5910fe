#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/efficiency/gemm.h"
#include "lowbit/efficiency/machine.h"
#include "lowbit/model/model.h"

namespace lowbit LOWBIT_EXPORT {

/// llama.cpp's llama-bench with a GGUF file, as a rival.
struct LlamaBench {
  std::string program;  ///< empty: none
  std::string model;
  std::vector<std::string> arguments;  ///< further ones: "-fa", "1"
};

struct DecodeBenchOptions {
  std::int64_t prompt = 128;                ///< tokens that are read at once
  std::int64_t new_tokens = 64;             ///< that are read behind it, one at a time
  std::vector<std::int64_t> batches = {1};  ///< sequences at once
  int repetitions = 5;                      ///< behind one that warms up
  LlamaBench llama = {};                    ///< runs once behind each repetition of a batch of 1
};

/// Tokens a second of one run of a rival.
struct RivalRates {
  double prefill = 0;
  double decode = 0;
};

/// What a phase reads and computes, and the least time it takes by the machine's peaks: the sum over its products of
/// the larger of bytes over bandwidth and operations over the peak of the product's arithmetic, and the keys and values
/// read.
struct PhaseWork {
  double weight_bytes = 0;
  double cache_bytes = 0;
  double operations = 0;
  double predicted_seconds = 0;
};

/// One batch: a run reads prompts and then tokens; seconds and tokens are of all sequences.
struct DecodeTiming {
  std::int64_t batch = 1;
  std::vector<double> prefill_seconds;  ///< of each repetition, to the first token's logits
  std::vector<double> decode_seconds;   ///< of all new tokens
  std::vector<double> joules;           ///< of both; empty where the machine does not tell
  PhaseWork prefill;
  PhaseWork decode;               ///< of one step with the cache half filled by new tokens
  std::int64_t cache_bytes = 0;   ///< at the end
  std::string detour;             ///< `Decoder::detour`
  std::vector<RivalRates> rival;  ///< of each repetition; empty without one
  [[nodiscard]] Spread prefill_rate(const DecodeBenchOptions& options) const;  ///< tokens a second
  [[nodiscard]] Spread decode_rate(const DecodeBenchOptions& options) const;
  /// How many times as fast as the rival, repetition by repetition; zeros without one.
  [[nodiscard]] Spread prefill_ratio(const DecodeBenchOptions& options) const;
  [[nodiscard]] Spread decode_ratio(const DecodeBenchOptions& options) const;
};

struct DecodeBench {
  DecodeBenchOptions options;
  MachinePeaks machine;                 ///< bandwidth of as many bytes as a step reads
  double processor_share = 0;           ///< as in `GemmBench`
  std::int64_t weight_bytes = 0;        ///< that a token reads: blocks, norms, head
  std::int64_t peak_memory = 0;         ///< `peak_resident_bytes` of this process
  std::int64_t peak_device_memory = 0;  ///< of another device than the CPU; 0 where LibTorch does not count it
  std::string energy_obstacle;
  std::vector<ProductSummary> products;
  std::vector<DecodeTiming> timings;
};

/// Times reading: drawn tokens, none sampled, so that every model does the same. Throws `kConfig` for options that make
/// no sense or that the model's context does not hold.
[[nodiscard]] DecodeBench run_decode_bench(const Model& model, const DecodeBenchOptions& options, Progress& progress,
                                           const Cancellation& cancellation);
void check_decode_options(const DecodeBenchOptions& options, std::int64_t context);
[[nodiscard]] std::string decode_bench_json(const DecodeBench& bench);
[[nodiscard]] std::string decode_bench_table(const DecodeBench& bench);

}  // namespace LOWBIT_EXPORT
