#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/model/weight_source.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit {

/// A weight source seen through a recipe's model transforms, tensor by tensor, nothing kept. `recipe` outlives it.
class TransformedWeights : public WeightSource {
 public:
  TransformedWeights(std::shared_ptr<const WeightSource> base, const Recipe& recipe);

  [[nodiscard]] const Architecture& architecture() const override { return architectures_.back(); }
  [[nodiscard]] const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  [[nodiscard]] bool contains(std::string_view name) const override;
  [[nodiscard]] at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override;
  [[nodiscard]] std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] Hash fingerprint() const override;
  [[nodiscard]] const std::filesystem::path& path() const override { return base_->path(); }
  [[nodiscard]] std::string format() const override { return base_->format(); }
  [[nodiscard]] std::vector<std::string> remarks() const override { return base_->remarks(); }

 private:
  [[nodiscard]] at::Tensor rewritten(const std::string& name, std::size_t transforms) const;
  std::shared_ptr<const WeightSource> base_;
  const Recipe& recipe_;
  std::vector<Architecture> architectures_;  // after 0, 1, 2 ... transforms
  std::vector<StoredTensor> tensors_;
};

}  // namespace lowbit
