#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/model/weight_source.h"

namespace lowbit::testing {

/// The weights of another source, which whoever derives from this changes as they are loaded.
class ChangedWeights : public WeightSource {
 public:
  explicit ChangedWeights(std::shared_ptr<const WeightSource> base) : base_(std::move(base)) {}
  const Architecture& architecture() const override { return base_->architecture(); }
  const std::vector<StoredTensor>& tensors() const override { return base_->tensors(); }
  bool contains(std::string_view name) const override { return base_->contains(name); }
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override { return base_->fingerprint(); }
  const std::filesystem::path& path() const override { return base_->path(); }
  std::string format() const override { return base_->format(); }

 protected:
  [[nodiscard]] const WeightSource& base() const { return *base_; }

 private:
  std::shared_ptr<const WeightSource> base_;
};

}  // namespace lowbit::testing
