#pragma once

#include <functional>
#include <vector>

#include "kernels/cuda/device_product.h"
#include "kernels/cuda/workspace.h"

namespace lowbit::kernels::cuda {

/// Sizes of a Llama's decode step. `hidden` and `head_dim` are multiples of 8, `head_dim` is 256 at most.
struct StepShape {
  std::int32_t sequences;
  std::int32_t hidden;
  std::int32_t intermediate;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t capacity;  ///< tokens that the caches have room for
  std::int32_t window;    ///< tokens that are seen at most; 0: all
  float epsilon;
};

struct StepMatrix {
  const DeviceProduct* product = nullptr;
  const std::byte* weight = nullptr;  ///< the bytes of `Packed`
  const float* bias = nullptr;        ///< [rows] or null
  /// kHalf, or kInt8, whose activations are rounded in the step.
  DeviceArithmetic arithmetic = DeviceArithmetic::kHalf;
};

/// All numbers without another type are bfloat16.
struct StepBlock {
  const std::uint16_t* input_norm;
  const std::uint16_t* mlp_norm;
  StepMatrix q, k, v, o, gate, up, down;
  std::uint16_t* keys;    ///< [sequences][kv_heads][capacity][head_dim]
  std::uint16_t* values;  ///< likewise
};

/// What a step reads and writes besides.
struct StepState {
  std::uint16_t* hidden;  ///< [sequences][hidden]: the newest tokens' embeddings, which become the last block's output
  std::uint16_t* normalised;        ///< [sequences][hidden]: what the head reads
  std::int32_t* position;           ///< of the newest tokens; grows by one
  const std::uint16_t* final_norm;  ///< [hidden]
  const float* cos;                 ///< [positions][head_dim]
  const float* sin;                 ///< likewise
};

/// One token of each sequence through all blocks: a fixed sequence of kernels, each of which but the first may start
/// while the one before it ends. The residual stream is bfloat16; kernels compute in float32 and round what they write
/// once.
///
///   const DecodeStep step(library, 0, shape, state, blocks, workspace);   // workspace: zeros
///   step.launch(stream);
class DecodeStep {
 public:
  /// Throws as `Library::require_device` does.
  DecodeStep(Library library, int device, const StepShape& shape, const StepState& state, std::vector<StepBlock> blocks,
             std::byte* workspace);
  [[nodiscard]] static std::int64_t workspace_bytes(const StepShape& shape, const std::vector<StepBlock>& blocks);
  void launch(void* stream) const;

 private:
  struct Space {
    Space(Parts& parts, const StepShape& shape, const std::vector<StepBlock>& blocks);
    std::uint16_t* x;
    std::uint16_t* q;
    std::uint16_t* k;
    std::uint16_t* v;
    std::uint16_t* heads;
    std::uint16_t* gate;
    std::uint16_t* up;
    SkinnySpace products[3];
    IntegerSpace integers;
    float* attention_partials;
    std::uint32_t* attention_arrivals;
  };
  /// `first` is how its first kernel is launched.
  void run_block(const StepBlock& block, const Launch& first) const;
  void norm(const std::uint16_t* weight, std::uint16_t* output, std::int32_t* counter, const Launch& launch) const;
  void attend(const StepBlock& block, const Launch& launch) const;
  void feed_forward(const StepBlock& block, const Launch& launch) const;
  /// Whether gate and up were products of one kernel with it.
  [[nodiscard]] bool multiply_gated(const StepBlock& block, const Launch& launch) const;
  /// Products of what a norm makes of the residual stream.
  void multiply_normed(const std::uint16_t* weight, const std::vector<SkinnyCall>& calls,
                       const std::vector<const StepMatrix*>& matrices, const Launch& first) const;
  /// Of one input.
  void multiply_all(const std::vector<SkinnyCall>& calls, const std::vector<const StepMatrix*>& matrices) const;
  void multiply_each(const std::vector<SkinnyCall>& calls, const std::vector<const StepMatrix*>& matrices) const;
  void multiply_rounded(const std::vector<SkinnyCall>& calls, const std::vector<const StepMatrix*>& matrices) const;
  [[nodiscard]] IntegerCall integer_call(const StepMatrix& matrix, const SkinnyCall& call) const;
  [[nodiscard]] SkinnyCall call_of(const StepMatrix& matrix, const std::uint16_t* input, std::uint16_t* output,
                                   std::size_t space, bool adds, const Launch& launch) const;
  Library library_;
  int device_;
  StepShape shape_;
  StepState state_;
  std::vector<StepBlock> blocks_;
  Space space_;
};

/// Launches that were recorded once, to be replayed in any stream.
class RecordedLaunches {
 public:
  /// `launches` gets the stream that it is to launch into.
  RecordedLaunches(Library library, const std::function<void(void*)>& launches);
  ~RecordedLaunches();
  RecordedLaunches(const RecordedLaunches&) = delete;
  RecordedLaunches& operator=(const RecordedLaunches&) = delete;
  void replay(void* stream) const;

 private:
  Library library_;
  void* graph_ = nullptr;
};

}  // namespace lowbit::kernels::cuda
