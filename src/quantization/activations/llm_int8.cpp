#include "quantization/activations/llm_int8.h"

#include <fmt/format.h>

#include "lowbit/tensor/factory.h"
#include "quantization/activations/input_rounding.h"

namespace lowbit {
namespace {

// Both parts of the sum are products with the same matrix, so that one product of the mixed input is their sum.
class Decomposition : public LinearExecution {
 public:
  explicit Decomposition(const LlmInt8Options& options) : options_(options) {}

  at::Tensor run(const at::Tensor& x, const LinearOp& product, bool deterministic) const override {
    return product.forward(decompose_input(x, options_), deterministic);
  }
  bool mixes_tokens() const override { return options_.columns == LlmInt8Options::Columns::kSequence; }
  RuntimeRecord record() const override { return {LlmInt8Options::kRecordName, echo_fields(options_), {}}; }
  std::string text() const override {
    return fmt::format("int8 per token, columns above {} apart", options_.threshold);
  }

 private:
  LlmInt8Options options_;
};

}  // namespace

void LlmInt8Options::visit(FieldVisitor& v) {
  v.field("threshold", threshold, "magnitude above which an input is an outlier", {0, 1e6});
  v.choice("columns", columns, {"sequence", "token"},
           "where an outlier takes its column out of the rounding: sequence: for all tokens that are computed together "
           "with it, as in the authors' program; token: for its own token only");
}

at::Tensor decompose_input(const at::Tensor& x, const LlmInt8Options& options) {
  const at::Tensor wide = to_dtype(x, DType::kFloat32);
  at::Tensor outlier = wide.abs().gt(options.threshold);
  if (options.columns == LlmInt8Options::Columns::kSequence && x.dim() >= 2) outlier = outlier.any(-2, true);
  const at::Tensor rest = wide.masked_fill(outlier, 0.0);
  return to_dtype(wide.where(outlier, round_input(rest, ActivationScheme())), dtype_of(x));
}

std::shared_ptr<const LinearExecution> LlmInt8Step::make(const LinearSlot&, const Statistics*) const {
  return std::make_shared<Decomposition>(options_);
}

std::shared_ptr<const LinearExecution> LlmInt8Reader::read(const std::map<std::string, at::Tensor>&,
                                                           const LinearOp&) const {
  return std::make_shared<Decomposition>(options_);
}

}  // namespace lowbit
