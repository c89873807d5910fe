#pragma once

#include "lowbit/config/fields.h"
#include "lowbit/formats/grid.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {

struct HeadOptions {
  GridOptions grid = {.bits = 8, .group = 64};
  void visit(FieldVisitor& v) { grid.visit(v); }
  void validate(ConfigProblems& problems, const SourceMark& mark) const { grid.validate(problems, mark); }
};

/// Rounds the head to nearest, by itself; one that shares the embedding's matrix gets its own, and the embedding stays
/// as it is.
class QuantizedHead : public ModelTransform {
 public:
  explicit QuantizedHead(const HeadOptions& options) : options_(options) {}
  [[nodiscard]] at::Tensor rewrite(const std::string& name, const at::Tensor& tensor, const Architecture& before,
                                   const std::function<at::Tensor(const std::string&)>& load) const override;
  [[nodiscard]] Architecture rewrite(const Architecture& architecture) const override;
  [[nodiscard]] std::optional<GridSpec> head_grid() const override { return options_.grid.spec(); }
  [[nodiscard]] std::optional<QuantizedWeight> quantize_head(const at::Tensor& weight) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  HeadOptions options_;
};

}  // namespace lowbit
