#pragma once

#include "device.h"
#include "results.h"

namespace lowbit::gpu_verify {

/// What the stages are told.
struct Settings {
  bool tiny = false;     ///< smallest shapes only: for compute-sanitizer, which slows kernels a hundred times
  int repetitions = 15;  ///< timed replays of each entrant
  std::string cublas;    ///< path of libcublas.so, empty: without rivals
  bool hopper = true;    ///< whether benchmarks and profile run the kernel for Hopper
  /// Kernels that have not run on a GPU yet: correctness and repetition run them alone, benchmarks beside the others.
  bool unproven = false;
  std::string filter;   ///< only cases whose name, with a blank behind it, contains it
  std::string entrant;  ///< benchmarks: only entrants whose name contains it, or one of several behind commas
  int splits = 0;       ///< benchmarks: of 16-bit products, 0: as scheduled

  [[nodiscard]] bool admits(const std::string& name) const { return (name + ' ').find(filter) != std::string::npos; }
};

/// A copy within the GPU's memory, for the bandwidth that everything is compared with, and the cost of an empty launch.
void run_smoke(const Gpu& gpu, const Settings& settings, Results& results);
/// Every kernel against the CPU: float64 within its roundings, or the same bits.
void run_correctness(const Gpu& gpu, const Settings& settings, Results& results);
/// Of it: keys and values rounded as defined, and attention to them against float64.
void run_attention(const Gpu& gpu, const Settings& settings, Results& results);
/// Of it, unproven: inputs rounded to E4M3 as the CPU rounds them, and Hopper's products of such numbers: exactly where
/// they are whole numbers, within what the matrix unit is assumed to lose where not.
void run_float8(const Gpu& gpu, const Settings& settings, Results& results);
/// Of it, unproven: columns of GPTQ by one kernel, with the bits of the algorithm's lines one after the other.
void run_columns(const Gpu& gpu, const Settings& settings, Results& results);
/// Of it: a decode step's kernels against float64, and the whole step.
void run_step(const Gpu& gpu, const Settings& settings, Results& results);
/// A product in splits, a thousand times over: one hash.
void run_repetition(const Gpu& gpu, const Settings& settings, Results& results);
/// Headline shapes first; ours and cuBLAS in turn.
void run_benchmarks(const Gpu& gpu, const Settings& settings, Results& results);
/// Of them: attention to a cache of codes, and keys rounded into one.
void run_attention_speed(const Gpu& gpu, const Settings& settings, Results& results);
/// Of them: a decode step by its recorded graph, and attention to caches of bfloat16.
void run_step_speed(const Gpu& gpu, const Settings& settings, Results& results);
/// Of the repetition: a recorded step, over and over.
void run_step_repetition(const Gpu& gpu, int times, Results& results);
/// Of the repetition, unproven: columns solved over and over.
void run_columns_repetition(const Gpu& gpu, int times, Results& results);
/// Of the benchmarks, unproven: a chunk of columns.
void run_columns_speed(const Gpu& gpu, const Settings& settings, Results& results);
/// Each main kernel once, for ncu.
void run_profile(const Gpu& gpu, const Settings& settings, Results& results);

/// Names of the cases that a stage would run.
[[nodiscard]] std::vector<std::string> correctness_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> attention_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> float8_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> columns_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> columns_speed_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> step_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> step_speed_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> attention_speed_cases(const Settings& settings);
[[nodiscard]] std::vector<std::string> benchmark_cases(const Settings& settings);

}  // namespace lowbit::gpu_verify
