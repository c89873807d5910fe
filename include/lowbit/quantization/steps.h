#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/random.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/formats/grid.h"
#include "lowbit/model/block.h"
#include "lowbit/model/model.h"
#include "lowbit/quantization/solver.h"

namespace lowbit LOWBIT_EXPORT {

// What a block step did to the input of a group of linears, so that the driver can carry the statistics along.
struct DiagonalMap {  ///< x became x / scale; the linears' columns were multiplied by it
  std::string group;
  at::Tensor scale;  ///< [in] float32
};
struct RotationMap {  ///< x became x Q
  std::string group;
  at::Tensor rotation;  ///< [in, in], orthonormal
};
struct Invalidated {  ///< x changed otherwise: collect again
  std::string group;
};
using StatisticsEffect = std::variant<DiagonalMap, RotationMap, Invalidated>;

/// What a block step sees: one block before its weights are solved, the inputs of both streams, and what comes later.
/// Files, threads, progress and randomness are reached through it only.
class BlockContext {
 public:
  virtual ~BlockContext() = default;
  /// The block under work; its weights and norms may be replaced (never written into), executions that map inputs
  /// exactly may be added.
  [[nodiscard]] virtual Block& block() = 0;
  /// As it was before any step, for targets.
  [[nodiscard]] virtual const Block& original() const = 0;
  /// Statistics of a group's input, as declared by `BlockStep::needs`.
  [[nodiscard]] virtual const Statistics& statistics(std::string_view group) const = 0;
  /// Number of calibration sequences, and the block's input for one of them, [1, tokens, hidden].
  [[nodiscard]] virtual std::int64_t sequences() const = 0;
  [[nodiscard]] virtual at::Tensor input(Stream stream, std::int64_t sequence) const = 0;
  /// The original block's output on the float stream for one sequence.
  [[nodiscard]] virtual at::Tensor float_output(std::int64_t sequence) const = 0;
  [[nodiscard]] virtual const RopeTable& rope() const = 0;
  /// The solver that the recipe gives a linear of this block; null when the layer is skipped.
  [[nodiscard]] virtual const WeightSolver* solver(std::string_view linear) const = 0;
  /// Tokens that reached an expert of a mixture (all tokens for a dense MLP).
  [[nodiscard]] virtual std::int64_t tokens_of(std::string_view linear) const = 0;
  [[nodiscard]] virtual Random random(std::string_view purpose) const = 0;
  virtual void check_cancelled() const = 0;
  virtual void report(const SolverEvent& event) = 0;
};

/// Rewrites a block before its weights are solved: SmoothQuant, AWQ, OmniQuant, AutoRound, LSI, WKVQuant. Steps that
/// learn weights may hand codes to the driver through `take_solution`.
class BlockStep {
 public:
  virtual ~BlockStep() = default;
  [[nodiscard]] virtual StatisticsNeeds needs() const { return {}; }
  /// True when `apply` asks for the sequences themselves (`input`, `float_output`), statistics or not.
  [[nodiscard]] virtual bool needs_inputs() const { return false; }
  /// True when the step works towards the grid of a later solver, so that a recipe without one is a mistake.
  [[nodiscard]] virtual bool needs_solver() const { return false; }
  [[nodiscard]] virtual std::vector<StatisticsEffect> apply(BlockContext& context) = 0;
  /// A weight that the step has solved itself (AutoRound); nothing leaves it to the recipe's solver.
  [[nodiscard]] virtual std::optional<QuantizedWeight> take_solution(std::string_view linear) {
    (void)linear;
    return std::nullopt;
  }
  [[nodiscard]] virtual int version() const = 0;
};

/// The whole model before the blocks, lazily: what QuaRot's R1 needs. `rewrite` is asked for each tensor as it is read.
class ModelTransform {
 public:
  virtual ~ModelTransform() = default;
  /// The tensor of that canonical name after the transform, float32. `before` is the architecture that the transform
  /// was given; `load` reads other tensors in their original form. The head of a model that this transform unties comes
  /// as a copy of the embedding.
  [[nodiscard]] virtual at::Tensor rewrite(const std::string& name, const at::Tensor& tensor,
                                           const Architecture& before,
                                           const std::function<at::Tensor(const std::string&)>& load) const = 0;
  /// What the architecture becomes (an untied head, for example).
  [[nodiscard]] virtual Architecture rewrite(const Architecture& architecture) const { return architecture; }
  /// The grid that `quantize_head` rounds to; nothing where it leaves the head in floats.
  [[nodiscard]] virtual std::optional<GridSpec> head_grid() const { return std::nullopt; }
  /// The head as it is to be stored, from what all transforms made of it; nothing leaves it in floats.
  [[nodiscard]] virtual std::optional<QuantizedWeight> quantize_head(const at::Tensor& weight) const {
    (void)weight;
    return std::nullopt;
  }
  [[nodiscard]] virtual int version() const = 0;
};

/// Makes what runs around products: activation quantizers, LLM.int8(), Tender, online Hadamards.
class ExecutionStep {
 public:
  enum class Kind {
    kRounding,  ///< rounds the inputs of solved layers: made when the block is solved, at most one a layer, and the
                ///< last
    kInputMap,  ///< maps inputs exactly (`LinearExecution::map_input`): made before anything looks at the block
  };
  virtual ~ExecutionStep() = default;
  [[nodiscard]] virtual Kind kind() const { return Kind::kRounding; }
  [[nodiscard]] virtual StatisticsNeeds needs() const { return {}; }
  /// `statistics` of what the product of the solved block sees; null when none were asked for, and always for input
  /// maps. Null result: the bare product.
  [[nodiscard]] virtual std::shared_ptr<const LinearExecution> make(const LinearSlot& slot,
                                                                    const Statistics* statistics) const = 0;
  [[nodiscard]] virtual int version() const = 0;
};

/// Makes an execution again out of an artifact; its options are the settings of `LinearExecution::record`.
class ExecutionReader {
 public:
  virtual ~ExecutionReader() = default;
  /// `product` is the linear's bare one. Throws `kData` when the tensors do not fit.
  [[nodiscard]] virtual std::shared_ptr<const LinearExecution> read(const std::map<std::string, at::Tensor>& tensors,
                                                                    const LinearOp& product) const = 0;
};

/// Makes the KV cache of a layer.
class KvCacheStep {
 public:
  virtual ~KvCacheStep() = default;
  /// Throws `kConfig` when it cannot keep the keys and values of such a model.
  virtual void check(const Architecture& architecture) const { (void)architecture; }
  /// What it keeps, in words, for `lowbit describe recipe`; may be empty.
  [[nodiscard]] virtual std::string text(const Architecture& architecture) const {
    (void)architecture;
    return {};
  }
  [[nodiscard]] virtual std::unique_ptr<KvCachePolicy> make(const Architecture& architecture,
                                                            std::int64_t layer) const = 0;
  [[nodiscard]] virtual int version() const = 0;
};

/// Works between or after passes over the whole model: bit allocation, LoRA or scale recovery.
class ModelStep {
 public:
  virtual ~ModelStep() = default;
  /// Bytes it will hold at most, for `lowbit plan`.
  [[nodiscard]] virtual std::int64_t memory(const Architecture& architecture) const = 0;
  virtual void apply(const Model& reference, const std::filesystem::path& artifact,
                     const Cancellation& cancellation) = 0;
  [[nodiscard]] virtual int version() const = 0;
};

}  // namespace LOWBIT_EXPORT
