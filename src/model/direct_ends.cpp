#include "model/direct_ends.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/tensor/decode.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/vector_product.h"
#include "model/packed_op.h"
#include "model/token_range.h"

namespace lowbit {

DirectEnds::DirectEnds(const Model& model, std::int64_t sequences)
    : sequences_(sequences),
      width_(model.architecture().hidden),
      eps_(model.architecture().norm_eps),
      embedding_(model.embedding_table().contiguous()),
      final_norm_(to_dtype(model.final_norm_weight(), DType::kFloat32).contiguous()),
      head_(model.head_product()),
      head_weight_(head_.float_weight()),
      normalised_(static_cast<std::size_t>(sequences * width_)) {
  if (head_weight_.defined()) {
    head_weight_ = head_weight_.contiguous();
    return;
  }
  const auto& packed = dynamic_cast<const PackedLinear&>(head_);
  workspace_.resize(kernels::workspace_bytes(packed.weight(), packed.arithmetic(), sequences, {}));
}

void DirectEnds::embed(const TokenId* ids, std::int64_t stride, float* hidden) const {
  for (std::int64_t sequence = 0; sequence < sequences_; ++sequence, hidden += width_) {
    const std::int64_t id = ids[sequence * stride];
    check_token(id, embedding_.size(0));
    if (dtype_of(embedding_) == DType::kFloat32) {
      std::copy_n(embedding_.const_data_ptr<float>() + id * width_, width_, hidden);
      continue;
    }
    const auto* row = static_cast<const std::uint16_t*>(embedding_.const_data_ptr()) + id * width_;
    for (std::int64_t i = 0; i < width_; ++i) hidden[i] = bfloat16_to_float(row[i]);
  }
}

void DirectEnds::head(const float* hidden, OutputSink& sink) {
  rms_norm_rows(hidden, sequences_, width_, final_norm_.const_data_ptr<float>(), eps_, normalised_.data());
  head_weight_.defined() ? multiply_floats(sink) : multiply_packed(sink);
}

void DirectEnds::multiply_packed(OutputSink& sink) {
  const auto& packed = static_cast<const PackedLinear&>(head_);
  const auto take = [](void* state, std::int64_t row, std::int64_t first, std::int64_t count, const float* values) {
    static_cast<OutputSink*>(state)->take(row, first, {values, static_cast<std::size_t>(count)});
  };
  const std::int64_t rows = packed.weight().rows();
  kernels::multiply({packed.weight(),
                     packed.arithmetic(),
                     {normalised_.data(), sequences_, width_, width_},
                     {nullptr, sequences_, rows, rows, {take, &sink}},
                     {},
                     workspace_,
                     pool_executor(),
                     {}});
}

void DirectEnds::multiply_floats(OutputSink& sink) const {
  struct Parts {
    const DirectEnds& ends;
    OutputSink& sink;
  } parts{*this, sink};
  const auto run = [](void* state, std::int64_t begin, std::int64_t end) {
    const auto& [ends, target] = *static_cast<Parts*>(state);
    const std::int64_t rows = ends.head_weight_.size(0);
    float logits[kernels::kOutputPart];
    for (std::int64_t first = begin * kernels::kOutputPart; first < std::min(rows, end * kernels::kOutputPart);
         first += kernels::kOutputPart) {
      const std::int64_t count = std::min(kernels::kOutputPart, rows - first);
      for (std::int64_t sequence = 0; sequence < ends.sequences_; ++sequence) {
        const VectorProduct product{.x = ends.normalised_.data() + sequence * ends.width_,
                                    .weight = ends.head_weight_.const_data_ptr(),
                                    .type = dtype_of(ends.head_weight_),
                                    .columns = ends.width_};
        product.run(first, first + count, logits);
        target.take(sequence, first, {logits, static_cast<std::size_t>(count)});
      }
    }
  };
  const kernels::Executor pool = pool_executor();
  const std::int64_t count = (head_weight_.size(0) + kernels::kOutputPart - 1) / kernels::kOutputPart;
  pool.parallel_for(pool.context, count, run, &parts);
}

}  // namespace lowbit
