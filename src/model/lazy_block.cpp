#include "lowbit/model/lazy_block.h"

#include <fmt/format.h>

#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/model/runtime_readers.h"
#include "lowbit/tensor/factory.h"
#include "model/expected_tensors.h"
#include "model/load_weight.h"

namespace lowbit {
namespace {

class StoredLinear : public LinearOp {
 public:
  StoredLinear(const WeightSource& weights, std::string name, Shape shape, bool bias, const ComputeOptions& options)
      : weights_(weights), name_(std::move(name)), shape_(std::move(shape)), has_bias_(bias), options_(options) {}

  at::Tensor forward(const at::Tensor& x, bool deterministic) const override {
    return make_float_linear(weight(), bias())->forward(x, deterministic);
  }
  std::int64_t in_features() const override { return shape_[1]; }
  std::int64_t out_features() const override { return shape_[0]; }
  at::Tensor dense_weight() const override { return to_dtype(weight(), DType::kFloat32).cpu(); }
  std::optional<at::Tensor> dense_rows(std::int64_t first, std::int64_t count) const override {
    std::optional<at::Tensor> rows = weights_.load_rows(name_ + ".weight", shape_, first, count);
    if (rows) rows = to_dtype(to_dtype(*rows, options_.dtype), DType::kFloat32);
    return rows;
  }
  at::Tensor bias() const override {
    return has_bias_ ? load_weight(weights_, name_ + ".bias", {shape_[0]}, options_) : at::Tensor();
  }
  std::int64_t weight_bytes() const override { return shape_[0] * shape_[1] * dtype_bytes(options_.dtype); }

 private:
  [[nodiscard]] at::Tensor weight() const { return load_weight(weights_, name_ + ".weight", shape_, options_); }
  const WeightSource& weights_;
  std::string name_;
  Shape shape_;  // [out, in]
  bool has_bias_;
  ComputeOptions options_;
};

}  // namespace

std::shared_ptr<Block> load_block_lazily(const WeightSource& weights, std::int64_t index, const ComputeOptions& options,
                                         const RuntimeReaders& readers) {
  const Architecture& a = weights.architecture();
  if (index < 0 || index >= a.layers) fail(ErrorCode::kInternal, "block {} of a model with {}", index, a.layers);
  const std::string block = fmt::format("model.layers.{}.", index);
  const std::string suffix = ".weight";
  Block::Weights parts;
  for (const ExpectedTensor& tensor : expected_tensors(a)) {
    if (tensor.shape.size() != 2 || !tensor.name.starts_with(block) || !tensor.name.ends_with(suffix)) continue;
    const std::string linear = tensor.name.substr(0, tensor.name.size() - suffix.size());
    const bool bias = weights.contains(linear + ".bias");
    LinearSlot slot{
        linear.substr(block.size()), std::make_shared<StoredLinear>(weights, linear, tensor.shape, bias, options), {}};
    slot.executions = with_context(fmt::format("{}: {}", weights.path().string(), linear),
                                   [&] { return make_executions(weights.executions(linear), *slot.op, readers); });
    parts.linears.push_back(std::move(slot));
  }
  const auto norm = [&](const char* name) { return load_weight(weights, block + name + suffix, {a.hidden}, options); };
  parts.input_norm = norm("input_layernorm");
  parts.post_attention_norm = norm("post_attention_layernorm");
  return std::make_shared<Block>(a, index, std::move(parts), options);
}

}  // namespace lowbit
