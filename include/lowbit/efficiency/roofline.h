#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/efficiency/machine.h"
#include "lowbit/model/model.h"

namespace lowbit LOWBIT_EXPORT {

/// What a machine could do at most, by its makers' data sheets: dense products, no sparsity.
struct PublishedHardware {
  std::string name;
  double memory_bytes = 0;  ///< of a GPU; 0 for processors, whose memory is what one buys
  double bytes_per_second = 0;
  double float32 = 0;  ///< operations a second, a multiplication and an addition being two
  double float16 = 0;  ///< float16 and bfloat16, with float32 sums
  double int8 = 0;     ///< 0: no unit of its own
  /// For products of that arithmetic. Weights of few bits beside 16-bit activations ("int16" here) are multiplied as
  /// float16, which is how such kernels work there.
  [[nodiscard]] double operations_per_second(std::string_view arithmetic) const;
};
[[nodiscard]] const std::vector<PublishedHardware>& published_hardware();

/// All products of a model that are alike, or its attention, in one phase.
struct RooflinePart {
  std::string name;  ///< "q_proj", "attention", "lm_head"
  std::int64_t count = 0;
  std::string arithmetic;
  double bytes = 0;       ///< of weights, or of keys and values, read by all
  double operations = 0;  ///< of all
  double memory_seconds = 0;
  double compute_seconds = 0;
  std::optional<double> measured_seconds = {};  ///< the median; nothing for attention
  [[nodiscard]] double predicted_seconds() const { return std::max(memory_seconds, compute_seconds); }
  [[nodiscard]] bool memory_bound() const { return memory_seconds >= compute_seconds; }
};

struct RooflineOptions {
  std::int64_t prompt = 512;
  std::int64_t batch = 1;
  int repetitions = 5;
};

/// The least seconds of a phase on hardware that one need not have; attention in float16 there.
struct HardwarePrediction {
  const PublishedHardware* hardware = nullptr;
  double prefill_seconds = 0;
  double decode_seconds = 0;  ///< of one step
  bool fits = true;           ///< weights, keys and values in its memory
};

struct ModelRoofline {
  RooflineOptions options;
  MachinePeaks machine;
  std::vector<RooflinePart> prefill;
  std::vector<RooflinePart> decode;  ///< one step behind the prompt
  std::vector<HardwarePrediction> elsewhere;
};

/// Predicts every kind of product of a model in both phases from this machine's peaks, runs it by itself, block after
/// block as the model does, and predicts both phases on published hardware. Throws `kConfig` for options that make no
/// sense or that the model's context does not hold.
[[nodiscard]] ModelRoofline run_model_roofline(const Model& model, const RooflineOptions& options, Progress& progress,
                                               const Cancellation& cancellation);
[[nodiscard]] std::string model_roofline_json(const ModelRoofline& roofline);
[[nodiscard]] std::string model_roofline_table(const ModelRoofline& roofline);

}  // namespace LOWBIT_EXPORT
