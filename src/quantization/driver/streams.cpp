#include "quantization/driver/streams.h"

#include <algorithm>
#include <span>

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

void Streams::spill(const std::filesystem::path& folder, std::int64_t elements, DType type) {
  LOWBIT_ASSERT(float_.empty() && quantized_.empty());
  const std::int64_t streams = (keep_float_ ? 1 : 0) + (keep_quantized_ ? 1 : 0);
  file_ = SpillFile::make(folder, static_cast<std::size_t>(streams * elements * dtype_bytes(type)));
}

at::Tensor Streams::keep(const at::Tensor& states) {
  if (!file_) return states;
  const auto bytes = static_cast<std::size_t>(states.nbytes());
  LOWBIT_ASSERT(filled_ + bytes <= file_->bytes().size());
  const std::span<std::byte> place = file_->bytes().subspan(filled_, bytes);
  filled_ += bytes;
  at::Tensor kept = view_bytes(place, shape_of(states), dtype_of(states), file_);
  kept.copy_(states);
  file_->release(place);
  return kept;
}

void Streams::add(const at::Tensor& embedded) {
  if (keep_quantized_) quantized_.push_back(keep(embedded));
  if (keep_float_) float_.push_back(keep(keep_quantized_ && !file_ ? embedded.clone() : embedded));
}

const std::vector<at::Tensor>& Streams::inputs(Stream stream) const {
  const bool quantized = stream == Stream::kQuantized && keep_quantized_;
  LOWBIT_ASSERT(quantized || keep_float_);
  return quantized ? quantized_ : float_;
}

std::function<void(std::size_t)> Streams::release(Stream stream) const {
  if (!file_) return {};
  return [this, stream](std::size_t sequence) { file_->release(bytes_of(inputs(stream)[sequence])); };
}

void Streams::clear() {
  float_.clear();
  quantized_.clear();
  file_.reset();
  filled_ = 0;
}

void Streams::advance(Stream stream, BlockPass& pass) {
  const NoGradScope no_gradients;
  std::vector<at::Tensor>& states = stream == Stream::kQuantized ? quantized_ : float_;
  for (std::size_t sequence = 0; sequence < states.size(); ++sequence) {
    states[sequence].copy_(pass.output(sequence));
    if (file_) file_->release(bytes_of(states[sequence]));
  }
}

void embed_sequences(const Model& model, const WeightSource* rewritten, const CalibrationSet& calibration,
                     const std::function<void(const at::Tensor&)>& take) {
  at::Tensor table;
  if (rewritten != nullptr) {
    const Architecture& architecture = rewritten->architecture();
    table = to_place(rewritten->load("model.embed_tokens.weight", {architecture.vocabulary, architecture.hidden}),
                     model.options().dtype, model.options().device);
  }
  for (const std::vector<TokenId>& sequence : calibration.sequences) {
    const std::vector<std::int64_t> ids(sequence.begin(), sequence.end());
    const at::Tensor row = tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0);
    take(rewritten != nullptr ? embedding(table, row) : model.embed(row));
  }
}

}  // namespace lowbit
