#include "model/device_decoder.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "model/device_linear.h"
#include "model/load_weight.h"

namespace lowbit {
namespace {

std::string obstacle_of(const Block& block) {
  for (const LinearSlot& slot : block.linears()) {
    const auto* linear = dynamic_cast<const DeviceLinear*>(slot.op.get());
    if (linear == nullptr ||
        (linear->arithmetic() != DeviceArithmetic::kBFloat16 && linear->arithmetic() != DeviceArithmetic::kInt8)) {
      return fmt::format("'{}.{}' is packed neither for bfloat16 inputs nor for integers of 8 bits", block.name(),
                         slot.name);
    }
    if (!slot.executions.empty()) return fmt::format("something runs around '{}.{}'", block.name(), slot.name);
  }
  return "";
}

DeviceStepSizes sizes_of(const Architecture& a, std::int64_t sequences, std::int64_t limit) {
  return {sequences, a.hidden, a.intermediate, a.heads, a.kv_heads, a.head_dim, limit, a.sliding_window, a.norm_eps};
}

DeviceStepBlock described(Block& block) {
  const auto linear = [&](const char* name) {
    const auto& op = dynamic_cast<const DeviceLinear&>(*block.linear(name).op);
    return DeviceStepLinear{&op.weight(), op.bias(), op.arithmetic()};
  };
  return {block.norm("input_layernorm"), block.norm("post_attention_layernorm"),
          linear("self_attn.q_proj"),    linear("self_attn.k_proj"),
          linear("self_attn.v_proj"),    linear("self_attn.o_proj"),
          linear("mlp.gate_proj"),       linear("mlp.up_proj"),
          linear("mlp.down_proj")};
}

// A block's keys and values in the memory that the step reads.
class StepCache : public KvCachePolicy {
 public:
  StepCache(at::Tensor keys, at::Tensor values, std::int64_t length, std::int64_t window)
      : keys_(std::move(keys)), values_(std::move(values)), length_(length), window_(window) {}
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    keys_.narrow(2, length_, k.size(2)).copy_(k);
    values_.narrow(2, length_, v.size(2)).copy_(v);
    length_ += k.size(2);
    return causal_attention(q, keys_.narrow(2, 0, length_), values_.narrow(2, 0, length_), scale, window_,
                            deterministic);
  }
  std::int64_t length() const override { return length_; }
  std::int64_t bytes() const override {
    return 2 * keys_.size(0) * keys_.size(1) * length_ * keys_.size(3) * keys_.element_size();
  }

 private:
  at::Tensor keys_;
  at::Tensor values_;
  std::int64_t length_;
  std::int64_t window_;
};

}  // namespace

std::string DeviceDecoder::obstacle(const Model& model, std::int64_t sequences) {
  const ComputeOptions& options = model.options();
  const Architecture& a = model.architecture();
  if (!is_packed_device(options.device)) return fmt::format("the model lies on '{}'", options.device.str());
  if (options.dtype != DType::kBFloat16) return "activations are not bfloat16";
  if (model.residency() != Model::Residency::kResident) return "blocks are streamed";
  if (model.weights().kv_cache()) return "the model's cache does not keep keys and values as they come";
  if (a.activation != Activation::kSilu) return "the activation is not SiLU";
  if (a.query_key_rotation || a.down_input_rotation) return "the architecture rotates inputs";
  std::string obstacle = DeviceStep::obstacle(sizes_of(a, sequences, 1));
  for (std::int64_t index = 0; index < a.layers && obstacle.empty(); ++index) {
    obstacle = obstacle_of(*model.block(index));
  }
  return obstacle;
}

DeviceDecoder::DeviceDecoder(const Model& model, std::int64_t sequences, std::int64_t limit)
    : model_(model), sequences_(sequences), limit_(limit) {
  const Architecture& a = model.architecture();
  std::vector<DeviceStepBlock> parts;
  for (std::int64_t index = 0; index < a.layers; ++index) {
    blocks_.push_back(model.block(index));
    parts.push_back(described(*blocks_.back()));
  }
  const RopeTable& rope = model.rope(limit);
  step_ = std::make_unique<DeviceStep>(sizes_of(a, sequences, limit), std::move(parts),
                                       load_weight(model.weights(), "model.norm.weight", {a.hidden}, model.options()),
                                       rope.cos, rope.sin);
}

at::Tensor DeviceDecoder::read(const at::Tensor& ids, const Cancellation& cancellation) {
  cancellation.check();
  at::Tensor hidden = model_.embed(ids);
  const std::int64_t tokens = ids.size(1);
  // The step counts on by itself.
  at::Tensor expected;
  if (tokens > 1 || !checked_) expected = read_together(hidden, cancellation);
  at::Tensor normalised = tokens > 1 ? expected : step_->read(hidden.select(1, 0)).unsqueeze(1);
  if (tokens == 1 && !checked_) check(normalised, expected);
  length_ += tokens;
  if (tokens > 1) step_->set_length(length_);
  return normalised;
}

// The first token is read both ways; a kernel that does not do what it should is off by about as much as the numbers
// are.
void DeviceDecoder::check(const at::Tensor& normalised, const at::Tensor& expected) {
  constexpr double kMost = 0.1;
  const at::Tensor wide = to_dtype(expected, DType::kFloat32);
  const double off = to_dtype(normalised, DType::kFloat32).sub(wide).norm().item<double>() / wide.norm().item<double>();
  if (!(off <= kMost)) {
    fail(ErrorCode::kCellFailed,
         "decode on '{}': the recorded step's numbers are off by {:.3g} of the blocks' own, expected at most {}; "
         "'execution: simulated' does without it",
         model_.options().device.str(), off, kMost);
  }
  checked_ = true;
}

at::Tensor DeviceDecoder::read_together(at::Tensor hidden, const Cancellation& cancellation) {
  const RopeTable& rope = model_.rope(limit_);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    cancellation.check();
    const auto index = static_cast<std::int64_t>(i);
    StepCache cache(step_->keys(index), step_->values(index), length_, model_.architecture().sliding_window);
    hidden = blocks_[i]->forward(hidden, rope, &cache);
  }
  return model_.final_norm(hidden.narrow(1, hidden.size(1) - 1, 1));
}

std::int64_t DeviceDecoder::cache_bytes() const {
  const Architecture& a = model_.architecture();
  return 2 * a.layers * sequences_ * a.kv_heads * length_ * a.head_dim * step_->keys(0).element_size();
}

}  // namespace lowbit
