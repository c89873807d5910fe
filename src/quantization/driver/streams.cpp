#include "quantization/driver/streams.h"

#include <algorithm>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {

Streams::Streams(const Recipe& recipe, bool with_data) {
  if (!with_data) return;
  const StatisticsNeeds of_float = recipe.needs(Stream::kFloat);
  const StatisticsNeeds of_quantized = recipe.needs(Stream::kQuantized);
  const bool inputs = std::any_of(recipe.block_steps().begin(), recipe.block_steps().end(),
                                  [](const auto& step) { return step->needs_inputs(); });
  const bool propagate = recipe.driver().propagate_quantized;
  keep_quantized_ = propagate && (of_quantized.any() || of_float.cross || inputs);
  keep_float_ = of_float.any() || of_quantized.cross || inputs || !propagate;
}

void Streams::start(std::vector<at::Tensor> embedded) {
  if (keep_quantized_) quantized_ = embedded;
  if (keep_float_) float_ = std::move(embedded);
}

const std::vector<at::Tensor>& Streams::inputs(Stream stream) const {
  const bool quantized = stream == Stream::kQuantized && keep_quantized_;
  LOWBIT_ASSERT(quantized || keep_float_);
  return quantized ? quantized_ : float_;
}

void Streams::set(Stream stream, std::vector<at::Tensor> outputs) {
  (stream == Stream::kQuantized ? quantized_ : float_) = std::move(outputs);
}

std::vector<at::Tensor> embed_sequences(const Model& model, const WeightSource* rewritten,
                                        const CalibrationSet& calibration) {
  at::Tensor table;
  if (rewritten != nullptr) {
    const Architecture& architecture = rewritten->architecture();
    table = to_place(rewritten->load("model.embed_tokens.weight", {architecture.vocabulary, architecture.hidden}),
                     model.options().dtype, model.options().device);
  }
  std::vector<at::Tensor> result;
  for (const std::vector<TokenId>& sequence : calibration.sequences) {
    const std::vector<std::int64_t> ids(sequence.begin(), sequence.end());
    const at::Tensor row = tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0);
    result.push_back(rewritten != nullptr ? embedding(table, row) : model.embed(row));
  }
  return result;
}

}  // namespace lowbit
