#pragma once

#include <map>
#include <memory>
#include <string>

#include "lowbit/model/activation_scheme.h"
#include "lowbit/quantization/steps.h"
#include "quantization/activations/static_range.h"

namespace lowbit {

struct ActivationOptions {
  ActivationScheme scheme;
  RangeOptions range;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// Rounds what products read. Simulated: codes times scales in float, then the float product.
class ActivationStep : public ExecutionStep {
 public:
  explicit ActivationStep(const ActivationOptions& options) : options_(options) {}
  [[nodiscard]] StatisticsNeeds needs() const override;
  [[nodiscard]] std::shared_ptr<const LinearExecution> make(const LinearSlot& slot,
                                                            const Statistics* statistics) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  ActivationOptions options_;
};

/// Reads the executions of `ActivationStep` back.
class ActivationReader : public ExecutionReader {
 public:
  explicit ActivationReader(const ActivationScheme& scheme) : scheme_(scheme) {}
  [[nodiscard]] std::shared_ptr<const LinearExecution> read(const std::map<std::string, at::Tensor>& tensors,
                                                            const LinearOp& product) const override;

 private:
  ActivationScheme scheme_;
};

}  // namespace lowbit
