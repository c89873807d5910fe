#include "quantization/driver/transformed_weights.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";

}  // namespace

TransformedWeights::TransformedWeights(std::shared_ptr<const WeightSource> base, const Recipe& recipe)
    : base_(std::move(base)), recipe_(recipe), architectures_{base_->architecture()}, tensors_(base_->tensors()) {
  for (const auto& transform : recipe.model_transforms()) {
    architectures_.push_back(transform->rewrite(architectures_.back()));
  }
  const auto embedding =
      std::find_if(tensors_.begin(), tensors_.end(), [](const auto& t) { return t.name == kEmbedding; });
  const bool has_head = std::any_of(tensors_.begin(), tensors_.end(), [](const auto& t) { return t.name == kHead; });
  if (!has_head && !architecture().tied_head && embedding != tensors_.end()) {
    StoredTensor head = *embedding;
    head.name = kHead;
    tensors_.push_back(std::move(head));
  }
  // What a transform has rewritten need not be exact in the type of the file.
  for (StoredTensor& tensor : tensors_) tensor.type = "F32";
}

bool TransformedWeights::contains(std::string_view name) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const auto& tensor) { return tensor.name == name; });
}

// A head that only came to be by untying starts as the embedding.
at::Tensor TransformedWeights::rewritten(const std::string& name, std::size_t transforms) const {
  if (transforms == 0) {
    const std::string stored = name == kHead && !base_->contains(name) ? std::string(kEmbedding) : name;
    const auto& all = base_->tensors();
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& tensor) { return tensor.name == stored; });
    if (found == all.end()) fail(ErrorCode::kData, "{}: has no tensor '{}'", base_->path().string(), stored);
    return base_->load(stored, found->shape);
  }
  const auto load = [&](const std::string& other) { return rewritten(other, transforms - 1); };
  return recipe_.model_transforms()[transforms - 1]->rewrite(name, rewritten(name, transforms - 1),
                                                             architectures_[transforms - 1], load);
}

at::Tensor TransformedWeights::load(std::string_view name, const std::vector<std::int64_t>& shape) const {
  at::Tensor result = rewritten(std::string(name), recipe_.model_transforms().size()).contiguous();
  if (shape_of(result) != shape) {
    fail(ErrorCode::kData, "{}: tensor '{}' has shape {} after the model transforms, expected {}", path().string(),
         name, shape_text(shape_of(result)), shape_text(shape));
  }
  return result;
}

Hash TransformedWeights::fingerprint() const { return Hasher().add(base_->fingerprint()).add(recipe_.hash()).finish(); }

}  // namespace lowbit
