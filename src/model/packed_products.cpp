#include "model/packed_products.h"

#include <fmt/format.h>

#include <algorithm>

#include "lowbit/kernels/together.h"
#include "lowbit/tensor/decode.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {
namespace {

// Tokens that pass from product to product together, whose numbers between two products stay in the second-level cache.
constexpr std::int64_t kPart = 256;

template <typename Number>
void grow(std::vector<Number>& space, std::int64_t count) {
  space.resize(std::max(space.size(), static_cast<std::size_t>(count)));
}

// visit(begin, count) for parts of 0 .. rows - 1.
template <typename Visit>
void each_part(std::int64_t rows, Visit visit) {
  for (std::int64_t begin = 0; begin < rows; begin += kPart) visit(begin, std::min(kPart, rows - begin));
}

template <typename State>
kernels::InputMaker maker_of(State& state) {
  return {[](void* made, std::int64_t begin, std::int64_t end) { static_cast<State*>(made)->make(begin, end); },
          &state};
}

struct NormMaker {
  const float* x;
  std::int64_t width;
  const float* weight;
  double eps;
  float* out;
  void make(std::int64_t begin, std::int64_t end) const {
    rms_norm_rows(x + begin * width, end - begin, width, weight, eps, out + begin * width);
  }
};

struct SiluMaker {
  float* gate;
  const float* up;
  std::int64_t width;
  void make(std::int64_t begin, std::int64_t end) const {
    silu_product(gate + begin * width, up + begin * width, (end - begin) * width);
  }
};

}  // namespace

std::string form_obstacle(const Block& block) {
  const Architecture& a = block.architecture();
  if (a.activation != Activation::kSilu) return "the activation is not SiLU";
  if (a.down_input_rotation) return "the architecture rotates inputs";
  for (const LinearSlot& slot : block.linears()) {
    if (!slot.executions.empty()) return fmt::format("something runs around '{}.{}'", block.name(), slot.name);
  }
  return "";
}

std::string packed_obstacle(const Block& block) {
  for (const LinearSlot& slot : block.linears()) {
    if (dynamic_cast<const PackedLinear*>(slot.op.get()) == nullptr) {
      return fmt::format("'{}.{}' is not packed", block.name(), slot.name);
    }
  }
  return form_obstacle(block);
}

std::span<const float> PackedProducts::Linear::bias_numbers() const {
  return bias.defined() ? values_of<float>(bias) : std::span<const float>();
}

PackedProducts::PackedProducts(const Block& block)
    : architecture_(block.architecture()),
      input_norm_(to_dtype(block.norm("input_layernorm"), DType::kFloat32).contiguous()),
      mlp_norm_(to_dtype(block.norm("post_attention_layernorm"), DType::kFloat32).contiguous()) {
  const auto linear = [&](std::string_view name) {
    const auto& op = dynamic_cast<const PackedLinear&>(*block.linear(name).op);
    return Linear{&op, op.bias().defined() ? to_dtype(op.bias(), DType::kFloat32).contiguous() : at::Tensor()};
  };
  q_ = linear("self_attn.q_proj");
  k_ = linear("self_attn.k_proj");
  v_ = linear("self_attn.v_proj");
  o_ = linear("self_attn.o_proj");
  gate_ = linear("mlp.gate_proj");
  up_ = linear("mlp.up_proj");
  down_ = linear("mlp.down_proj");
}

void PackedProducts::reserve(std::int64_t rows, BlockSpace& space) const {
  const std::int64_t part = std::min(rows, kPart);
  grow(space.normalised, part * architecture_.hidden);
  grow(space.gate, part * architecture_.intermediate);
  grow(space.up, part * architecture_.intermediate);
  std::size_t bytes = 0;
  for (const Linear* each : {&q_, &k_, &v_, &o_, &gate_, &up_, &down_}) {
    bytes = std::max(bytes, kernels::workspace_bytes(each->op->weight(), each->op->arithmetic(), part, {}));
  }
  for (auto& workspace : space.workspaces) grow(workspace, static_cast<std::int64_t>(bytes));
}

kernels::Product PackedProducts::product(const Linear& linear, kernels::Input input, float* output,
                                         std::span<std::byte> workspace, const float* residual) const {
  const kernels::PackedWeight& weight = linear.op->weight();
  return {weight,
          linear.op->arithmetic(),
          input,
          {output, input.tokens, weight.rows(), weight.rows()},
          {linear.bias_numbers(), residual, residual == nullptr ? 0 : weight.rows()},
          workspace,
          pool_executor(),
          {}};
}

void PackedProducts::project(const float* hidden, std::int64_t rows, float* q, float* k, float* v,
                             BlockSpace& space) const {
  const std::int64_t width = architecture_.hidden;
  each_part(rows, [&](std::int64_t begin, std::int64_t count) {
    NormMaker norm{hidden + begin * width, width, input_norm_.const_data_ptr<float>(), architecture_.norm_eps,
                   space.normalised.data()};
    const kernels::Input input{norm.out, count, width, width, maker_of(norm)};
    const auto behind = [&](float* output, const Linear& linear) {
      return output + begin * linear.op->weight().rows();
    };
    const kernels::Product products[] = {product(q_, input, behind(q, q_), space.workspaces[0]),
                                         product(k_, input, behind(k, k_), space.workspaces[1]),
                                         product(v_, input, behind(v, v_), space.workspaces[2])};
    kernels::multiply_together(products);
  });
}

void PackedProducts::add_heads(const float* heads, const float* residual, std::int64_t rows, float* hidden,
                               BlockSpace& space) const {
  const std::int64_t width = o_.op->weight().columns();
  each_part(rows, [&](std::int64_t begin, std::int64_t count) {
    const std::int64_t place = begin * architecture_.hidden;
    kernels::multiply(product(o_, {heads + begin * width, count, width, width}, hidden + place, space.workspaces[0],
                              residual + place));
  });
}

void PackedProducts::add_mlp(float* hidden, std::int64_t rows, BlockSpace& space) const {
  const std::int64_t width = architecture_.hidden;
  const std::int64_t inner = architecture_.intermediate;
  each_part(rows, [&](std::int64_t begin, std::int64_t count) {
    float* part = hidden + begin * width;
    NormMaker norm{part, width, mlp_norm_.const_data_ptr<float>(), architecture_.norm_eps, space.normalised.data()};
    const kernels::Input input{norm.out, count, width, width, maker_of(norm)};
    const kernels::Product products[] = {product(gate_, input, space.gate.data(), space.workspaces[0]),
                                         product(up_, input, space.up.data(), space.workspaces[1])};
    kernels::multiply_together(products);
    SiluMaker silu{space.gate.data(), space.up.data(), inner};
    kernels::multiply(
        product(down_, {silu.gate, count, inner, inner, maker_of(silu)}, part, space.workspaces[0], part));
  });
}

}  // namespace lowbit
