#pragma once

#include <map>
#include <memory>
#include <string>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {

struct LlmInt8Options {
  static constexpr const char* kRecordName = "llm_int8";
  enum class Columns { kSequence, kToken };
  double threshold = 6.0;
  Columns columns = Columns::kSequence;
  void visit(FieldVisitor& v);
};

/// `x` [..., tokens, in] as the decomposed product sees it: columns that hold a magnitude above the threshold as they
/// are, the others rounded to 8 bits per token, restricted symmetric, with the scale of what is left of the token.
[[nodiscard]] at::Tensor decompose_input(const at::Tensor& x, const LlmInt8Options& options);

/// LLM.int8(): x W^T = x_out W_out^T + int8(x_rest) W_rest^T, where W is what the solver made of the weight.
class LlmInt8Step : public ExecutionStep {
 public:
  explicit LlmInt8Step(const LlmInt8Options& options) : options_(options) {}
  [[nodiscard]] std::shared_ptr<const LinearExecution> make(const LinearSlot& slot,
                                                            const Statistics* statistics) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  LlmInt8Options options_;
};

class LlmInt8Reader : public ExecutionReader {
 public:
  explicit LlmInt8Reader(const LlmInt8Options& options) : options_(options) {}
  [[nodiscard]] std::shared_ptr<const LinearExecution> read(const std::map<std::string, at::Tensor>& tensors,
                                                            const LinearOp& product) const override;

 private:
  LlmInt8Options options_;
};

}  // namespace lowbit
