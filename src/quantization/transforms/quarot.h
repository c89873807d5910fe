#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {

struct QuarotOptions {
  bool residual = true;
  bool values = true;
  bool down_input = true;
  bool queries_keys = false;
  std::int64_t seed = 0;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// QuaRot: orthonormal rotations between the linears of a model, which leave its function as it is and spread what
/// stands out in single channels over all of them. R1 turns the residual stream: norms are folded into the linears
/// behind them, embedding, head and all linears take it in, so that a tied head is untied. R2 turns each head's values
/// and is taken in by v_proj and o_proj. R3 (queries and keys) and R4 (the input of down_proj) run inside the block, as
/// the architecture says then; down_proj takes in R4's inverse.
class Quarot : public ModelTransform {
 public:
  explicit Quarot(const QuarotOptions& options) : options_(options) {}
  [[nodiscard]] at::Tensor rewrite(const std::string& name, const at::Tensor& tensor, const Architecture& before,
                                   const std::function<at::Tensor(const std::string&)>& load) const override;
  [[nodiscard]] Architecture rewrite(const Architecture& architecture) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  [[nodiscard]] Rotation residual(const Architecture& a) const;
  [[nodiscard]] Rotation values(const Architecture& a) const;
  [[nodiscard]] at::Tensor turn_inputs(const std::string& linear, at::Tensor weight, const Architecture& a,
                                       const std::function<at::Tensor(const std::string&)>& load) const;
  [[nodiscard]] at::Tensor turn_outputs(const std::string& linear, at::Tensor weight, const Architecture& a) const;
  QuarotOptions options_;
};

}  // namespace lowbit
