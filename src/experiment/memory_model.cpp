#include "experiment/memory_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "evaluation/logits.h"
#include "evaluation/writing.h"
#include "experiment/memory_phases.h"
#include "experiment/weight_sizes.h"
#include "lowbit/evaluation/scorer.h"
#include "lowbit/kernels/api.h"
#include "lowbit/tensor/parallel.h"
#include "model/row_slices.h"
#include "model/side_by_side.h"

namespace lowbit {
namespace {

// Rows that a thread rounds at a time, in float32: as read, and codes and scales.
constexpr std::int64_t kRowParts = 2;
// Buffers of fixed size, as they were seen: of forward passes, and of what quantizing packs, writes and hashes.
constexpr std::int64_t kBuffers = std::int64_t{28} << 20;
constexpr std::int64_t kWritingBuffers = std::int64_t{16} << 20;
// What is held of logits at a time where they are taken in slices of columns.
constexpr std::int64_t kLogitSlice = std::int64_t{4} << 20;
// Holes in the heap after eight blocks and more, as they were seen.
constexpr std::int64_t kHoles = std::int64_t{40} << 20;

std::optional<GridSpec> head_grid(const Recipe* recipe) {
  if (recipe == nullptr) return std::nullopt;
  for (const auto& transform : recipe->model_transforms()) {
    if (auto grid = transform->head_grid()) return grid;
  }
  return std::nullopt;
}

Architecture architecture_after(const Architecture& before, const Recipe* recipe) {
  Architecture result = before;
  if (recipe == nullptr) return result;
  for (const auto& transform : recipe->model_transforms()) result = transform->rewrite(result);
  return result;
}

}  // namespace

MemoryModel::MemoryModel(const Architecture& architecture, const ComputeConfig& compute, std::int64_t baseline)
    : architecture_(architecture), compute_(compute), baseline_(baseline), element_(dtype_bytes(compute.dtype)) {}

std::vector<BlockLinear> MemoryModel::linears() const {
  const Architecture& a = architecture_;
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  return {{"self_attn.q_proj", q, a.hidden},           {"self_attn.k_proj", kv, a.hidden},
          {"self_attn.v_proj", kv, a.hidden},          {"self_attn.o_proj", a.hidden, q},
          {"mlp.gate_proj", a.intermediate, a.hidden}, {"mlp.up_proj", a.intermediate, a.hidden},
          {"mlp.down_proj", a.hidden, a.intermediate}};
}

std::int64_t MemoryModel::block_bytes(const EvaluationLoad& load) const {
  if (load.recipe == nullptr || !load.packed) return architecture_.block_parameters() * element_;
  std::int64_t bytes = 2 * architecture_.hidden * element_;
  for (const BlockLinear& linear : linears()) {
    const WeightSolver* solver = load.recipe->solver("model.layers.0." + linear.name);
    bytes += solver == nullptr ? linear.elements() * element_
                               : packed_for_products(linear.elements(), linear.out, solver->grid());
  }
  return bytes;
}

// Beside the embedding; nothing where it is the embedding.
std::int64_t MemoryModel::head_bytes(const EvaluationLoad& load) const {
  if (architecture_after(architecture_, load.recipe).tied_head) return 0;
  const std::optional<GridSpec> grid = load.packed ? head_grid(load.recipe) : std::nullopt;
  return grid ? packed_for_products(architecture_.vocabulary * architecture_.hidden, architecture_.vocabulary, *grid)
              : table();
}

std::int64_t MemoryModel::table() const { return architecture_.vocabulary * architecture_.hidden * element_; }

// Weights are decoded to float32 first.
std::int64_t MemoryModel::table_while_read() const {
  return table() + (element_ < kFloat ? architecture_.vocabulary * architecture_.hidden * kFloat : 0);
}

// As it lies in its file it is written part by part (`WeightSource::load_rows`).
std::int64_t MemoryModel::table_while_written(const Recipe& recipe) const {
  const std::int64_t rows =
      recipe.model_transforms().empty() ? rows_in_cache(architecture_.hidden) : architecture_.vocabulary;
  return rows * architecture_.hidden * kFloat;
}

// Gate, up and the activated gate, in whose place their product is made, beside input and residual; or the heads'
// inputs, turned and joined.
std::int64_t MemoryModel::forward_step(std::int64_t tokens) const {
  const Architecture& a = architecture_;
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  return tokens * element_ * std::max(2 * a.hidden + 3 * a.intermediate, 2 * a.hidden + 5 * q + 3 * kv);
}

// What is held of them at a time: what each part of a row says, and whole rows where two models are compared, or in a
// type whose products are not made column by column, in that type and then in float32.
std::int64_t MemoryModel::logits(const EvaluationLoad& load) const {
  const std::int64_t rows = kWholeRows * architecture_.vocabulary;
  const std::int64_t parts =
      Scorer::Options().logit_rows * architecture_.vocabulary / kernels::kOutputPart * std::int64_t{sizeof(PartScore)};
  if (element_ < kFloat) return rows * (kFloat * (load.compared ? 2 : 1) + element_) + parts;
  return parts + (load.compared ? 2 * rows * kFloat : kLogitSlice);
}

MemoryPeak MemoryModel::evaluation(const EvaluationLoad& load, const MemoryPlacement& placement) const {
  const Architecture& a = architecture_;
  const std::int64_t batch = std::min(load.tokens, std::max<std::int64_t>(compute_.batch_tokens, 1));
  const std::int64_t wave = placement.streamed ? std::min(load.tokens, std::max(placement.wave_tokens, batch)) : batch;
  const std::int64_t hidden = wave * a.hidden * element_;
  const std::int64_t tables = table() + head_bytes(load);
  const std::int64_t block = block_bytes(load);
  const std::int64_t kept = placement.streamed ? 0 : a.layers * block + tables;
  const std::int64_t widest = a.hidden * a.intermediate;
  // Codes as they are unpacked, beside the packed words and, where weights are not float32, the decoded matrix.
  const std::int64_t unpacking =
      (load.recipe != nullptr ? widest * 11 / 4 : 0) + (element_ < kFloat ? widest * kFloat : 0);
  // Keys and values of one layer: as the cache keeps them at most, laid out for attention in both forms, and as float32
  // on their way there.
  const std::int64_t cache = load.cached ? batch * 2 * a.kv_heads * a.head_dim * (3 * element_ + kFloat) : 0;
  const std::int64_t written =
      load.writes ? std::min(kWritingCacheBytes, load.tokens * cache_bytes_a_token(a, compute_.dtype)) : 0;
  // Weights that stay lie between what batches freed, which wider pieces then cannot use. Blocks that come and go leave
  // such holes too, but for what is given back whole.
  const std::int64_t holes = leaves_holes(a, element_) ? kHoles * std::min<std::int64_t>(a.layers, 8) / 8 : 0;
  const std::int64_t freed = placement.streamed ? holes : forward_step(batch) / 2;
  MemoryPhases phases(baseline_, kBuffers);
  phases.add("embedding", {{"blocks", placement.streamed ? 0 : kept - tables},
                           {"embedding and head", placement.streamed ? table_while_read() : tables},
                           {"hidden states", hidden}});
  phases.add("blocks", {{placement.streamed ? "one block" : "blocks", placement.streamed ? block : a.layers * block},
                        {"embedding and head", kept > 0 ? tables : 0},
                        {"hidden states", hidden},
                        {"activations of a batch", std::max(forward_step(batch) + cache, unpacking)},
                        {"caches of answers", written},
                        {"freed, of no use to others", freed}});
  // Heads are read one after the other, the float model's when there are logits of the own one.
  const auto add_head = [&](const char* phase, std::int64_t own, std::int64_t other, std::int64_t held) {
    phases.add(phase, {{"blocks", kept > 0 ? a.layers * block : 0},
                       {"embedding and head", placement.streamed ? own : tables},
                       {"the float model's head", load.compared ? other : 0},
                       {"caches of answers", written},
                       {"hidden states", hidden + batch * a.hidden * element_},
                       {"logits", held},
                       {"freed, of no use to others", freed}});
  };
  add_head("reading the head", table_while_read(), 0, 0);
  if (load.compared) {
    add_head("reading the float model's head", table(), table_while_read(), kWholeRows * a.vocabulary * kFloat);
  }
  add_head("logits", table(), table(), logits(load));
  return phases.peak();
}

MemoryPeak MemoryModel::quantization(const Recipe& recipe, const QuantizationLoad& load,
                                     const MemoryPlacement& placement) const {
  const bool forward = recipe.needs_calibration() || !recipe.block_steps().empty();
  MemoryPhases phases(baseline_, !forward && rounds_by_rows(recipe) ? kWritingBuffers : kBuffers + kWritingBuffers);
  if (forward) {
    add_solving(phases, recipe, load, placement);
  } else {
    add_rounding(phases, recipe);
  }
  phases.add("writing the embedding", {{"embedding", table_while_written(recipe)}});
  add_head(phases, recipe);
  std::int64_t steps = 0;
  for (const auto& step : recipe.model_steps()) steps = std::max(steps, step->memory(architecture_));
  phases.add("model steps", {{"model steps", steps}});
  return phases.peak();
}

// Read as a copy of the embedding, which the transforms copy again.
void MemoryModel::add_head(MemoryPhases& phases, const Recipe& recipe) const {
  const std::optional<GridSpec> grid = head_grid(&recipe);
  if (!grid) return;
  const std::int64_t elements = architecture_.vocabulary * architecture_.hidden;
  phases.add("reading the head", {{"copies of the head", 2 * elements * kFloat}});
  phases.add("rounding the head", {{"head", elements * kFloat},
                                   {"its codes", codes_of(elements, architecture_.vocabulary, *grid)},
                                   {"packed head", packed(elements, architecture_.vocabulary, *grid)}});
}

// Whether all weights are rounded some rows at a time, which leaves no large pieces behind.
bool MemoryModel::rounds_by_rows(const Recipe& recipe) const {
  const std::vector<BlockLinear> all = linears();
  return recipe.model_transforms().empty() && std::all_of(all.begin(), all.end(), [&](const BlockLinear& linear) {
           const WeightSolver* solver = recipe.solver("model.layers.0." + linear.name);
           return solver == nullptr || solver->solves_rows_alone();
         });
}

// Weights on their own: each is read when its turn comes, in as many blocks at once as there are threads for.
void MemoryModel::add_rounding(MemoryPhases& phases, const Recipe& recipe) const {
  const std::int64_t threads = compute_.threads > 0 ? compute_.threads : thread_count();
  const std::int64_t at_once =
      recipe.plugins().empty() ? blocks_side_by_side(architecture_.block_parameters(), threads) : 1;
  const bool by_rows = rounds_by_rows(recipe);
  std::int64_t copies = 0;
  std::int64_t codes = 0;
  std::int64_t on_disk = 0;
  std::int64_t most = 0;  // of one block
  for (const BlockLinear& linear : linears()) {
    const WeightSolver* solver = recipe.solver("model.layers.0." + linear.name);
    if (solver == nullptr) continue;
    codes += codes_of(linear.elements(), linear.out, solver->grid());
    on_disk += packed(linear.elements(), linear.out, solver->grid());
    const std::int64_t here =
        by_rows ? (at_once > 1 ? 1 : threads) * kRowParts * rows_in_cache(linear.in) * linear.in * kFloat
                : 2 * linear.elements() * kFloat;
    if (here + codes > most) {
      most = here + codes;
      copies = here;
    }
  }
  const std::int64_t freed =
      !by_rows && leaves_holes(architecture_, kFloat) ? at_once * architecture_.block_parameters() * kFloat / 4 : 0;
  if (codes + on_disk > most) {
    phases.add("writing", {{"codes of the blocks", at_once * codes},
                           {"packed blocks", at_once * on_disk},
                           {"freed, of no use to others", freed}});
  } else {
    phases.add("rounding", {{"copies of weights", at_once * copies},
                            {"codes of the blocks", at_once * (most - copies)},
                            {"freed, of no use to others", freed}});
  }
  if (at_once > 1) {
    phases.add("writing the embedding", {{"embedding", table_while_written(recipe)},
                                         {"other blocks", (at_once - 1) * std::max(most, codes + on_disk)}});
  }
}

MemoryPlacement MemoryModel::place_evaluation(const EvaluationLoad& load, std::int64_t limit) const {
  MemoryPlacement placement;
  const bool may_stay = compute_.memory != MemoryMode::kStreamed;
  const bool must_stay = compute_.memory == MemoryMode::kResident;
  if (must_stay || (may_stay && evaluation(load, placement).bytes() <= limit)) return placement;
  placement.streamed = true;
  while (placement.wave_tokens > compute_.batch_tokens && evaluation(load, placement).bytes() > limit) {
    placement.wave_tokens /= 2;
  }
  return placement;
}

MemoryPlacement MemoryModel::place_quantization(const Recipe& recipe, const QuantizationLoad& load,
                                                std::int64_t limit) const {
  MemoryPlacement placement;
  placement.streamed = true;
  const auto fits = [&] { return quantization(recipe, load, placement).bytes() <= limit; };
  if (fits()) return placement;
  placement.held_bytes = 0;
  if (!fits()) placement.spill_streams = true;
  return placement;
}

}  // namespace lowbit
