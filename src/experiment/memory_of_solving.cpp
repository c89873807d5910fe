#include <algorithm>

#include "experiment/memory_model.h"
#include "experiment/memory_phases.h"
#include "experiment/weight_sizes.h"

namespace lowbit {
namespace {

// Rows of a Hessian that are narrowed at a time when a solved weight is judged.
constexpr std::int64_t kErrorRows = 192;
// Rows whose products are added to a Hessian at a time; more are summed up in a matrix of their own first.
constexpr std::int64_t kGramRows = 512;

}  // namespace

// What is held beside the weight that is being solved.
struct MemoryModel::Solving {
  std::int64_t streams = 0;  // activations between blocks
  std::int64_t states = 0;   // between a block's groups
  std::int64_t step = 0;     // activations of a sequence
  std::int64_t freed = 0;    // of no use to others
  bool float_stream = false;
  bool groups_at_once = false;  // all their Hessians are there
  bool sums_apart = false;      // a sequence's share of a Hessian is summed up by itself
  // Of the block's weights that are solved:
  std::int64_t codes = 0;
  std::int64_t packed = 0;
  std::int64_t dense = 0;  // beside the originals, where these are kept
};

MemoryModel::Solving MemoryModel::solving(const Recipe& recipe, const QuantizationLoad& load,
                                          const MemoryPlacement& placement) const {
  const Architecture& a = architecture_;
  const StatisticsNeeds of_float = recipe.needs(Stream::kFloat);
  const StatisticsNeeds needs = recipe.needs();
  const bool steps = !recipe.block_steps().empty();
  const bool propagates = recipe.driver().propagate_quantized;
  Solving result;
  result.float_stream = of_float.any() || needs.cross || steps || !propagates;
  const bool quantized_stream = propagates && (needs.any() || steps);
  const std::int64_t streams = (result.float_stream ? 1 : 0) + (quantized_stream ? 1 : 0);
  const std::int64_t passes = result.float_stream && quantized_stream && (of_float.any() || needs.cross) ? 2 : 1;
  result.streams =
      placement.spill_streams ? load.longest * a.hidden * element_ : load.tokens * a.hidden * element_ * streams;
  const std::int64_t widest = std::max({a.hidden, a.intermediate, a.heads * a.head_dim});
  const std::int64_t states = load.tokens * (a.hidden + widest) * element_;
  result.states = states <= placement.held_bytes ? states * passes : 0;
  result.step = forward_step(load.longest);
  result.freed = leaves_holes(a, kFloat) ? (a.block_parameters() * element_ + result.step) / 2 : 0;
  result.groups_at_once = !recipe.driver().true_sequential;
  result.sums_apart = load.longest > kGramRows;
  return result;
}

// `linear`'s weight, after those that `solving` counts already.
void MemoryModel::add_solved(MemoryPhases& phases, const Solving& solving, const BlockLinear& linear,
                             const WeightSolver& solver) const {
  const Architecture& a = architecture_;
  const std::int64_t weight = linear.elements() * kFloat;
  const std::int64_t as_float = element_ < kFloat ? weight : 0;
  const std::int64_t square = linear.in * linear.in;
  const bool hessian = solver.needs().hessian;
  const bool crossed = solver.needs().cross;
  const bool alone = linear.name == "self_attn.o_proj" || linear.name == "mlp.down_proj";  // with its input
  const std::int64_t own = codes_of(linear.elements(), linear.out, solver.grid());
  const std::int64_t matrices = (hessian ? 1 : 0) + (crossed ? 1 : 0);
  const std::int64_t statistics = square * kDouble * matrices;
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t all_squares = 2 * a.hidden * a.hidden + q * q + a.intermediate * a.intermediate;
  const auto add = [&](const char* phase, MemoryTerms terms) {
    const MemoryTerms shared = {
        {"one block", a.block_parameters() * element_ + (solving.float_stream ? solving.dense : 0)},
        {"streams", solving.streams},
        {"states between groups", solving.states},
        {"codes of the block", solving.codes},
        {"freed, of no use to others", solving.freed},
        {"the other groups' Hessians", solving.groups_at_once ? (all_squares - square) * kDouble * matrices : 0},
        {"Hessian", statistics}};
    terms.insert(terms.begin(), shared.begin(), shared.end());
    phases.add(phase, std::move(terms));
  };
  add("statistics", {{"a sequence's share of it", statistics > 0 && solving.sums_apart ? square * kDouble : 0},
                     {"activations of a sequence", solving.step}});
  if (hessian) {
    add("inverting",
        {{"its inverse factor", square * (kDouble + kFloat)}, {"copies of the weight", weight + as_float}});
  }
  // The cross term, two products of it with the factor, the factor's transpose, and the result in float32.
  if (crossed) {
    add("correcting for the streams' difference", {{"its inverse factor", square * kDouble},
                                                   {"correction", square * (4 * kDouble + kFloat)},
                                                   {"copies of the weight", weight + as_float}});
  }
  add("solving", {{"its inverse factor", hessian ? square * kFloat * (crossed ? 2 : 1) : 0},
                  {"copies of the weight", 2 * weight + as_float},
                  {"codes", own}});
  add("judging", {{"slices of it", hessian ? kErrorRows * (linear.in * 3 + linear.out) * kFloat : 0},
                  {"what linears with one input share", hessian && !crossed && !alone ? square * kFloat : 0},
                  {"copies of the weight", weight * (hessian ? 5 : 2) - (element_ < kFloat ? 0 : weight)},
                  {"codes", own}});
}

void MemoryModel::add_solving(MemoryPhases& phases, const Recipe& recipe, const QuantizationLoad& load,
                              const MemoryPlacement& placement) const {
  Solving so_far = solving(recipe, load, placement);
  phases.add("embedding", {{"embedding", table_while_read()}, {"streams", so_far.streams}});
  for (const BlockLinear& linear : linears()) {
    const WeightSolver* solver = recipe.solver("model.layers.0." + linear.name);
    if (solver == nullptr) continue;
    add_solved(phases, so_far, linear, *solver);
    so_far.codes += codes_of(linear.elements(), linear.out, solver->grid());
    so_far.packed += packed(linear.elements(), linear.out, solver->grid());
    so_far.dense += linear.elements() * element_;
  }
  const std::int64_t block = architecture_.block_parameters() * element_;
  phases.add("writing", {{"one block", block + (so_far.float_stream ? so_far.dense : 0)},
                         {"streams", so_far.streams},
                         {"states between groups", so_far.states},
                         {"codes of the block", so_far.codes},
                         {"packed block", so_far.packed}});
}

}  // namespace lowbit
