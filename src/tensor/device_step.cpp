#include "lowbit/tensor/device_step.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "kernels/cuda/decode_step.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "tensor/device_weight.h"

namespace lowbit {
namespace {

namespace cuda = kernels::cuda;

// Of the skinny kernel's tiles of tokens.
constexpr std::int64_t kMostSequences = 64;

std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }

cuda::StepShape shape_of_step(const DeviceStepSizes& s) {
  return {narrow(s.sequences), narrow(s.hidden),   narrow(s.intermediate),
          narrow(s.heads),     narrow(s.kv_heads), narrow(s.head_dim),
          narrow(s.capacity),  narrow(s.window),   static_cast<float>(s.norm_eps)};
}

std::uint16_t* numbers_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() != at::kBFloat16 || !tensor.is_contiguous() ||
      reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 16 != 0) {
    fail(ErrorCode::kInternal, "decode step: {} of {} is no contiguous bfloat16 that begins on 16 bytes",
         shape_text(shape_of(tensor)), c10::toString(tensor.scalar_type()));
  }
  return static_cast<std::uint16_t*>(tensor.data_ptr());
}

}  // namespace

std::string DeviceStep::obstacle(const DeviceStepSizes& sizes) {
  if (sizes.sequences > kMostSequences) {
    return fmt::format("{} sequences are read at once, more than {}", sizes.sequences, kMostSequences);
  }
  if (sizes.hidden % 8 != 0) return fmt::format("the hidden size {} is no multiple of 8", sizes.hidden);
  if (sizes.head_dim % 8 != 0 || sizes.head_dim > 256) {
    return fmt::format("heads have {} numbers, expected a multiple of 8 up to 256", sizes.head_dim);
  }
  return "";
}

struct DeviceStep::State {
  State(const DeviceStepSizes& of, std::vector<DeviceStepBlock> given, const at::Tensor& norm,
        const at::Tensor& cosines, const at::Tensor& sines)
      : sizes(of),
        weights(std::move(given)),
        final_norm(norm.contiguous()),
        cos(cosines.contiguous()),
        sin(sines.contiguous()),
        device(norm.device()),
        hidden(numbers({of.sequences, of.hidden})),
        normalised(numbers({of.sequences, of.hidden})),
        position(at::zeros({1}, at::TensorOptions(at::kInt).device(device))) {
    std::vector<cuda::StepBlock> blocks;
    for (DeviceStepBlock& block : weights) blocks.push_back(described(block));
    const cuda::StepShape shape = shape_of_step(sizes);
    workspace =
        at::zeros({cuda::DecodeStep::workspace_bytes(shape, blocks)}, at::TensorOptions(at::kByte).device(device));
    DeviceWeight::State::check_place(workspace);
    const cuda::StepState state = {
        numbers_of(hidden),     numbers_of(normalised),      position.mutable_data_ptr<std::int32_t>(),
        numbers_of(final_norm), cos.const_data_ptr<float>(), sin.const_data_ptr<float>()};
    step.emplace(open_kernels(), index_of(device), shape, state, std::move(blocks),
                 static_cast<std::byte*>(workspace.mutable_data_ptr()));
    // Kernels are loaded when they are first launched, which cannot be recorded. What this writes is overwritten.
    hidden.zero_();
    step->launch(current_stream(device));
    position.zero_();
    graph.emplace(open_kernels(), [this](void* stream) { step->launch(stream); });
  }

  [[nodiscard]] at::Tensor numbers(at::IntArrayRef size) const {
    return at::empty(size, at::TensorOptions(at::kBFloat16).device(device));
  }
  cuda::StepMatrix matrix(DeviceStepLinear& linear) const {
    if (linear.bias.defined()) linear.bias = linear.bias.to(device, at::kFloat).contiguous();
    const DeviceWeight::State& weight = *linear.weight->state_;
    if (linear.arithmetic != DeviceArithmetic::kBFloat16 && linear.arithmetic != DeviceArithmetic::kInt8) {
      fail(ErrorCode::kInternal, "decode step: a product's inputs are '{}', expected 'bfloat16' or '{}'",
           arithmetic_name(linear.arithmetic), arithmetic_name(DeviceArithmetic::kInt8));
    }
    return {
        &weight.product, weight.bytes(), linear.bias.defined() ? linear.bias.const_data_ptr<float>() : nullptr,
        linear.arithmetic == DeviceArithmetic::kInt8 ? cuda::DeviceArithmetic::kInt8 : cuda::DeviceArithmetic::kHalf};
  }
  cuda::StepBlock described(DeviceStepBlock& block) {
    block.input_norm = block.input_norm.contiguous();
    block.mlp_norm = block.mlp_norm.contiguous();
    for (std::vector<at::Tensor>* side : {&keys, &values}) {
      side->push_back(numbers({sizes.sequences, sizes.kv_heads, sizes.capacity, sizes.head_dim}));
    }
    return {numbers_of(block.input_norm),
            numbers_of(block.mlp_norm),
            matrix(block.q),
            matrix(block.k),
            matrix(block.v),
            matrix(block.o),
            matrix(block.gate),
            matrix(block.up),
            matrix(block.down),
            numbers_of(keys.back()),
            numbers_of(values.back())};
  }

  DeviceStepSizes sizes;
  std::vector<DeviceStepBlock> weights;
  at::Tensor final_norm;
  at::Tensor cos;
  at::Tensor sin;
  at::Device device;
  at::Tensor hidden;
  at::Tensor normalised;
  at::Tensor position;
  at::Tensor workspace;
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::optional<cuda::DecodeStep> step;
  std::optional<cuda::RecordedLaunches> graph;
};

DeviceStep::DeviceStep(const DeviceStepSizes& sizes, std::vector<DeviceStepBlock> blocks, const at::Tensor& final_norm,
                       const at::Tensor& cos, const at::Tensor& sin)
    : state_(std::make_unique<State>(sizes, std::move(blocks), final_norm, cos, sin)) {}
DeviceStep::~DeviceStep() = default;

at::Tensor DeviceStep::keys(std::int64_t block) const { return state_->keys[static_cast<std::size_t>(block)]; }
at::Tensor DeviceStep::values(std::int64_t block) const { return state_->values[static_cast<std::size_t>(block)]; }

void DeviceStep::set_length(std::int64_t tokens) { state_->position.fill_(tokens); }

at::Tensor DeviceStep::read(const at::Tensor& embeddings) {
  state_->hidden.copy_(embeddings);
  state_->graph->replay(current_stream(state_->device));
  return state_->normalised;
}

}  // namespace lowbit
