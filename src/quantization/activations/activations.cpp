#include "quantization/activations/activations.h"

#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "quantization/activations/input_rounding.h"

namespace lowbit {
namespace {

class InputRounding : public LinearExecution {
 public:
  InputRounding(const ActivationScheme& scheme, const StaticRange& range) : scheme_(scheme), range_(range) {}

  at::Tensor run(const at::Tensor& x, const LinearOp& product, bool deterministic) const override {
    return product.forward(round_input(x, scheme_, range_), deterministic);
  }
  RuntimeRecord record() const override {
    RuntimeRecord record{ActivationScheme::kRecordName, echo_fields(scheme_), {}};
    if (scheme_.per != ActivationScheme::Per::kTensor) return record;
    record.tensors[ActivationScheme::kScale] = make_full({1}, range_.scale, DType::kFloat32);
    if (scheme_.symmetry == Symmetry::kAsymmetric) {
      record.tensors[ActivationScheme::kZero] = make_full({1}, range_.zero, DType::kInt8);
    }
    return record;
  }
  std::string text() const override { return scheme_.text(); }

 private:
  ActivationScheme scheme_;
  StaticRange range_;
};

double number_of(const std::map<std::string, at::Tensor>& tensors, const char* name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) fail(ErrorCode::kData, "tensor '{}' of a static range is missing", name);
  if (found->second.numel() != 1) {
    fail(ErrorCode::kData, "tensor '{}' has shape {}, expected one number", name, shape_text(shape_of(found->second)));
  }
  return to_dtype(found->second, DType::kFloat64).item<double>();
}

}  // namespace

void ActivationOptions::visit(FieldVisitor& v) {
  scheme.visit(v);
  range.visit(v);
}

void ActivationOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  scheme.validate(problems, mark);
  if (scheme.per != ActivationScheme::Per::kTensor && range != RangeOptions()) {
    problems.add(mark,
                 "the options of a static range ('range', 'percentile', 'momentum') have a meaning for 'per: "
                 "tensor' only; the other ranges are those of the numbers at hand");
  }
}

StatisticsNeeds ActivationStep::needs() const {
  return options_.scheme.per == ActivationScheme::Per::kTensor ? options_.range.needs() : StatisticsNeeds();
}

std::shared_ptr<const LinearExecution> ActivationStep::make(const LinearSlot&, const Statistics* statistics) const {
  StaticRange range;
  if (options_.scheme.per == ActivationScheme::Per::kTensor) {
    LOWBIT_ASSERT(statistics != nullptr);
    range = fit_range(options_.scheme, options_.range, *statistics);
  }
  return std::make_shared<InputRounding>(options_.scheme, range);
}

std::shared_ptr<const LinearExecution> ActivationReader::read(const std::map<std::string, at::Tensor>& tensors,
                                                              const LinearOp&) const {
  StaticRange range;
  if (scheme_.per == ActivationScheme::Per::kTensor) {
    range.scale = static_cast<float>(number_of(tensors, ActivationScheme::kScale));
    if (!(range.scale > 0) || !std::isfinite(range.scale)) {
      fail(ErrorCode::kData, "tensor '{}' is {}, expected a positive number", ActivationScheme::kScale, range.scale);
    }
    if (scheme_.symmetry == Symmetry::kAsymmetric) {
      range.zero = static_cast<int>(number_of(tensors, ActivationScheme::kZero));
    }
  }
  return std::make_shared<InputRounding>(scheme_, range);
}

}  // namespace lowbit
