#include "model/float_products.h"

#include <fmt/format.h>

#include <algorithm>

#include "lowbit/tensor/decode.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/vector_product.h"

namespace lowbit {
namespace {

// Rows of a weight that pass all tokens while the cache holds them.
constexpr std::int64_t kChunk = 32;

std::int64_t chunks_of(std::int64_t rows) { return (rows + kChunk - 1) / kChunk; }

// body(chunk) for all chunks, on the pool.
template <typename Body>
void each_chunk(std::int64_t count, Body body) {
  const kernels::Executor pool = pool_executor();
  const auto call = [](void* state, std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) (*static_cast<Body*>(state))(chunk);
  };
  pool.parallel_for(pool.context, count, call, &body);
}

// Tokens [rows, width], one of each sequence.
struct Tokens {
  const float* data;
  std::int64_t rows, width;
};

// visit(token, first output, outputs) for one chunk of a weight.
template <typename Linear, typename Visit>
void multiply_chunk(const Linear& linear, const Tokens& x, std::int64_t chunk, Visit visit) {
  const std::int64_t begin = chunk * kChunk;
  const std::int64_t end = std::min(begin + kChunk, linear.weight.size(0));
  float outputs[kChunk];
  for (std::int64_t token = 0; token < x.rows; ++token) {
    const VectorProduct product{.x = x.data + token * x.width,
                                .weight = linear.weight.const_data_ptr(),
                                .type = dtype_of(linear.weight),
                                .bias = linear.bias.defined() ? linear.bias.template const_data_ptr<float>() : nullptr,
                                .columns = x.width};
    product.run(begin, end, outputs);
    visit(token, begin, std::span<const float>(outputs, static_cast<std::size_t>(end - begin)));
  }
}

// out = residual + x times the weight, [rows, outputs].
template <typename Linear>
void add_product(const Linear& linear, const Tokens& x, const float* residual, float* out) {
  const std::int64_t width = linear.weight.size(0);
  each_chunk(chunks_of(width), [&](std::int64_t chunk) {
    multiply_chunk(linear, x, chunk, [&](std::int64_t token, std::int64_t first, std::span<const float> outputs) {
      const std::int64_t place = token * width + first;
      for (std::size_t i = 0; i < outputs.size(); ++i) out[place + i] = residual[place + i] + outputs[i];
    });
  });
}

}  // namespace

std::string float_obstacle(const Block& block) {
  for (const LinearSlot& slot : block.linears()) {
    const at::Tensor weight = slot.op->float_weight();
    if (!weight.defined() || !weight.is_contiguous()) {
      return fmt::format("'{}.{}' is no matrix of floats", block.name(), slot.name);
    }
  }
  return form_obstacle(block);
}

FloatProducts::FloatProducts(const Block& block)
    : architecture_(block.architecture()),
      input_norm_(to_dtype(block.norm("input_layernorm"), DType::kFloat32).contiguous()),
      mlp_norm_(to_dtype(block.norm("post_attention_layernorm"), DType::kFloat32).contiguous()) {
  const auto linear = [&](std::string_view name) {
    const LinearOp& op = *block.linear(name).op;
    const at::Tensor bias = op.bias();
    return Linear{op.float_weight(), bias.defined() ? to_dtype(bias, DType::kFloat32).contiguous() : bias};
  };
  q_ = linear("self_attn.q_proj");
  k_ = linear("self_attn.k_proj");
  v_ = linear("self_attn.v_proj");
  o_ = linear("self_attn.o_proj");
  gate_ = linear("mlp.gate_proj");
  up_ = linear("mlp.up_proj");
  down_ = linear("mlp.down_proj");
}

void FloatProducts::reserve(std::int64_t rows, BlockSpace& space) const {
  space.normalised.resize(std::max(space.normalised.size(), static_cast<std::size_t>(rows * architecture_.hidden)));
  space.gate.resize(std::max(space.gate.size(), static_cast<std::size_t>(rows * architecture_.intermediate)));
}

void FloatProducts::project(const float* hidden, std::int64_t rows, float* q, float* k, float* v,
                            BlockSpace& space) const {
  const std::int64_t width = architecture_.hidden;
  rms_norm_rows(hidden, rows, width, input_norm_.const_data_ptr<float>(), architecture_.norm_eps,
                space.normalised.data());
  const Tokens x{space.normalised.data(), rows, width};
  const std::int64_t of_q = chunks_of(q_.weight.size(0));
  const std::int64_t of_k = chunks_of(k_.weight.size(0));
  each_chunk(of_q + of_k + chunks_of(v_.weight.size(0)), [&](std::int64_t chunk) {
    const auto into = [&](const Linear& linear, std::int64_t own, float* out) {
      multiply_chunk(linear, x, own, [&](std::int64_t token, std::int64_t first, std::span<const float> outputs) {
        std::ranges::copy(outputs, out + token * linear.weight.size(0) + first);
      });
    };
    if (chunk < of_q) return into(q_, chunk, q);
    if (chunk < of_q + of_k) return into(k_, chunk - of_q, k);
    into(v_, chunk - of_q - of_k, v);
  });
}

void FloatProducts::add_heads(const float* heads, const float* residual, std::int64_t rows, float* hidden,
                              BlockSpace&) const {
  add_product(o_, {heads, rows, o_.weight.size(1)}, residual, hidden);
}

void FloatProducts::add_mlp(float* hidden, std::int64_t rows, BlockSpace& space) const {
  const std::int64_t width = architecture_.hidden;
  const std::int64_t inner = architecture_.intermediate;
  rms_norm_rows(hidden, rows, width, mlp_norm_.const_data_ptr<float>(), architecture_.norm_eps,
                space.normalised.data());
  const Tokens x{space.normalised.data(), rows, width};
  each_chunk(chunks_of(inner), [&](std::int64_t chunk) {
    multiply_chunk(gate_, x, chunk, [&](std::int64_t token, std::int64_t first, std::span<const float> outputs) {
      std::ranges::copy(outputs, space.gate.data() + token * inner + first);
    });
    multiply_chunk(up_, x, chunk, [&](std::int64_t token, std::int64_t first, std::span<const float> outputs) {
      silu_product(space.gate.data() + token * inner + first, outputs.data(),
                   static_cast<std::int64_t>(outputs.size()));
    });
  });
  add_product(down_, {space.gate.data(), rows, inner}, hidden, hidden);
}

}  // namespace lowbit
