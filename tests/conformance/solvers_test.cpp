// What every registered weight solver must hold to. A newcomer is tested by being registered.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/model/artifact.h"
#include "lowbit/quantization/recipe.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "model/small_model.h"
#include "quantization/solvers/layers.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using ::testing::HasSubstr;
using testing::normal_matrix;
using testing::row_losses;

constexpr const char* kLayer = "model.layers.0.mlp.up_proj";

const Registry<WeightSolver>& registry() {
  static const Registry<WeightSolver> solvers = [] {
    Registry<WeightSolver> made("solver");
    register_builtin_solvers(made);
    return made;
  }();
  return solvers;
}

const ModuleInfo& info_of(const std::string& name) {
  static const std::vector<ModuleInfo> modules = registry().modules();
  return *std::find_if(modules.begin(), modules.end(), [&](const ModuleInfo& info) { return info.name == name; });
}

const FieldDescription* field_of(const std::string& solver, const std::string& field) {
  const auto& fields = info_of(solver).fields;
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == field; });
  return found == fields.end() ? nullptr : &*found;
}

std::unique_ptr<WeightSolver> make(const std::string& name, const std::string& options = "{}") {
  ConfigProblems problems;
  auto solver = registry().create(name, {}, ConfigNode::parse(options, "options"), problems);
  problems.throw_if_any();
  return solver;
}

// The default options, and small groups where there are groups.
std::vector<std::string> option_sets(const std::string& name) {
  std::vector<std::string> sets = {"{}"};
  if (field_of(name, "group") != nullptr) sets.insert(sets.end(), {"{group: 16}", "{group: -1}"});
  return sets;
}

// A layer with all that a solver may ask of its inputs.
struct Layer {
  at::Tensor weight;
  at::Tensor inputs;
  at::Tensor float_inputs;

  Layer(std::int64_t out, std::int64_t in, std::int64_t tokens, const std::string& stream)
      : weight(normal_matrix(out, in, stream + "/w") * 0.05),
        inputs(correlated_inputs(tokens, in, stream + "/x")),
        float_inputs(inputs + normal_matrix(tokens, in, stream + "/d") * 0.05) {}

  [[nodiscard]] Statistics statistics(const StatisticsNeeds& needs) const {
    Statistics result(inputs.size(1), needs);
    result.add(inputs, needs.cross ? float_inputs : at::Tensor());
    return result;
  }
  [[nodiscard]] QuantizedWeight solve(const WeightSolver& solver, std::vector<SolverEvent>* events = nullptr) const {
    const StatisticsNeeds needs = solver.needs();
    const Statistics known = statistics(needs);
    LinearProblem problem;
    problem.layer = kLayer;
    problem.weight = weight.clone();
    problem.statistics = needs.any() ? &known : nullptr;
    problem.random = Random(5, "conformance");
    problem.report = [&](std::string_view what, double value) {
      if (events != nullptr) events->push_back({kLayer, std::string(what), value});
    };
    return solver.solve(problem);
  }
};

// What the solver is to lessen: the error of the output when it sees the inputs, else of the weights.
double error_of_solution(const Layer& layer, const WeightSolver& solver, const at::Tensor& found) {
  StatisticsNeeds needs;
  needs.hessian = true;
  const at::Tensor hessian =
      solver.needs().hessian ? layer.statistics(needs).hessian() : make_eye(layer.weight.size(1), DType::kFloat64);
  return row_losses(found - layer.weight, hessian).sum().item<double>();
}

std::string error_of(const std::function<void()>& action, ErrorCode code) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

class EverySolver : public ::testing::TestWithParam<std::string> {};

TEST_P(EverySolver, SaysWhatItIsAndDoes) {
  const ModuleInfo& info = info_of(GetParam());
  EXPECT_FALSE(info.summary.empty());
  for (const FieldDescription& field : info.fields) EXPECT_FALSE(field.help.empty()) << field.name;
  EXPECT_GE(make(GetParam())->version(), 1);
}

TEST_P(EverySolver, KeepsTheShapeOfEveryLayer) {
  // Full groups; a ragged last one; fewer columns than any group; a single row; a single column; many rows.
  const std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {{24, 64}, {24, 72}, {8, 5},
                                                                     {1, 64},  {6, 1},   {70, 24}};
  for (const auto& [out, in] : shapes) {
    const Layer layer(out, in, 3 * in + 8, "shapes");
    for (const std::string& options : option_sets(GetParam())) {
      const auto solver = make(GetParam(), options);
      const QuantizedWeight solved = layer.solve(*solver);
      const std::string what = fmt::format("{} of [{}, {}]", options, out, in);
      EXPECT_NO_THROW(solved.check(kLayer)) << what;
      EXPECT_EQ(solved.rows(), out) << what;
      EXPECT_EQ(solved.columns(), in) << what;
      EXPECT_TRUE(all_finite(solved.dequantize())) << what;
      const at::Tensor quick = solver->approximate(layer.weight);
      EXPECT_EQ(shape_of(quick), (Shape{out, in})) << what;
      EXPECT_TRUE(all_finite(quick)) << what;
    }
  }
}

TEST_P(EverySolver, GivesTheSameBitsForAnyNumberOfThreads) {
  const Layer layer(150, 72, 300, "threads");
  const int before = thread_count();
  for (const std::string& options : option_sets(GetParam())) {
    const auto solver = make(GetParam(), options);
    set_thread_count(1);
    const Hash one = layer.solve(*solver).content_hash();
    EXPECT_EQ(layer.solve(*solver).content_hash(), one) << options << " twice";
    for (const int threads : {2, 3}) {
      set_thread_count(threads);
      EXPECT_EQ(layer.solve(*solver).content_hash(), one) << options << " on " << threads << " threads";
    }
  }
  set_thread_count(before);
}

TEST_P(EverySolver, DoesNotGetWorseAsBitsGrow) {
  if (field_of(GetParam(), "bits") == nullptr) GTEST_SKIP() << "has no 'bits'";
  const Layer layer(32, 96, 400, "bits");
  double before = std::numeric_limits<double>::infinity();
  for (const int bits : {2, 3, 4, 6, 8}) {
    const auto solver = make(GetParam(), fmt::format("{{bits: {}}}", bits));
    const double error = error_of_solution(layer, *solver, layer.solve(*solver).dequantize());
    EXPECT_LE(error, before) << bits << " bits";
    before = error;
  }
}

TEST_P(EverySolver, RoundsToEveryFormatThatItOffers) {
  const FieldDescription* field = field_of(GetParam(), "format");
  if (field == nullptr) GTEST_SKIP() << "has no 'format'";
  const std::string list = field->type.substr(std::string("one of ").size());
  const Layer layer(20, 72, 200, "formats");
  int formats = 0;
  for (std::size_t begin = 0; begin < list.size(); ++formats) {
    const std::size_t end = std::min(list.find(", ", begin), list.size());
    const std::string format = list.substr(begin, end - begin);
    begin = end + 2;
    const auto solver = make(GetParam(), "{format: " + format + "}");
    const QuantizedWeight solved = layer.solve(*solver);
    EXPECT_NO_THROW(solved.check(format));
    EXPECT_NE(solved.grid.text().find(solver->grid().text()), std::string::npos) << format;
    EXPECT_LT(error_of_solution(layer, *solver, solved.dequantize()),
              error_of_solution(layer, *solver, make_zeros({20, 72}, DType::kFloat32)))
        << format << " is worse than zeros";
  }
  EXPECT_GE(formats, 2);
}

TEST_P(EverySolver, ReturnsFromTheDiskAsItWas) {
  const std::vector<std::pair<std::string, std::pair<std::int64_t, std::int64_t>>> slots = {
      {"self_attn.q_proj", {32, 32}}, {"mlp.gate_proj", {44, 32}}, {"mlp.down_proj", {32, 44}}};
  for (const std::string& options : option_sets(GetParam())) {
    testing::TemporaryFolder folder;
    const std::filesystem::path base = folder / "base";
    make_folders(base);
    const auto source = std::make_shared<testing::SmallModel>(base);
    const testing::NoTokenizer tokenizer;
    ArtifactWriter writer(folder / "out", source, tokenizer, "key");
    BlockArtifact block;
    const auto solver = make(GetParam(), options);
    for (const auto& [slot, shape] : slots) {
      block.linears[slot] = Layer(shape.first, shape.second, 100, slot).solve(*solver);
    }
    writer.write_block(block);
    const BlockArtifact again = writer.read_block(0);
    for (const auto& [slot, weight] : block.linears) {
      EXPECT_EQ(again.linears.at(slot).content_hash(), weight.content_hash()) << slot << " with " << options;
      EXPECT_EQ(again.linears.at(slot).grid, weight.grid) << slot << " with " << options;
      EXPECT_TRUE(again.linears.at(slot).dequantize().equal(weight.dequantize())) << slot << " with " << options;
    }
  }
}

TEST_P(EverySolver, NamesTheLayerOfAWeightThatIsNotFinite) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Layer layer(8, 40, 100, "nan");
    mutable_values_of<float>(layer.weight)[45] = value;
    EXPECT_EQ(error_of([&] { (void)layer.solve(*make(GetParam())); }, ErrorCode::kData),
              "layer 'model.layers.0.mlp.up_proj': the weight holds NaN or Inf; nothing can be rounded to it");
  }
}

TEST_P(EverySolver, SaysThatItNeedsCalibrationAndOfWhatWidth) {
  const auto solver = make(GetParam());
  if (!solver->needs().any()) GTEST_SKIP() << "needs none";
  LinearProblem problem;
  problem.layer = kLayer;
  problem.weight = normal_matrix(8, 40, "none");
  EXPECT_EQ(error_of([&] { (void)solver->solve(problem); }, ErrorCode::kData),
            fmt::format("layer '{}': {} needs calibration inputs and got none", kLayer, GetParam()));
  const Layer other(8, 41, 100, "width");
  const Statistics statistics = other.statistics(solver->needs());
  problem.statistics = &statistics;
  EXPECT_THAT(
      error_of([&] { (void)solver->solve(problem); }, ErrorCode::kData),
      HasSubstr(fmt::format("layer '{}': the weight has 40 columns but its calibration inputs 41 channels", kLayer)));
}

TEST_P(EverySolver, HoldsAndReportsGroupsOfZeros) {
  Layer layer(8, 32, 100, "zeros");
  layer.weight.select(0, 3).zero_();
  for (const std::string& options : option_sets(GetParam())) {
    std::vector<SolverEvent> events;
    const at::Tensor found = layer.solve(*make(GetParam(), options), &events).dequantize();
    EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const SolverEvent& event) {
      return event.what == "all-zero groups" && event.value >= 1;
    })) << options;
    // A scale or a zero that is shared with other rows may leave a rounding error, as in those.
    const at::Tensor error = (found - layer.weight).abs();
    EXPECT_LE(error.select(0, 3).max().item<float>(), error.slice(0, 4, 8).max().item<float>()) << options;
  }
  layer.weight.zero_();
  EXPECT_EQ(layer.solve(*make(GetParam())).dequantize().abs().max().item<float>(), 0.0F);
}

TEST_P(EverySolver, SurvivesChannelsWithoutInputAndTooFewTokens) {
  const auto solver = make(GetParam());
  if (!solver->needs().any()) GTEST_SKIP() << "needs no calibration";
  Layer dead(16, 48, 200, "dead");
  dead.inputs.select(1, 7).zero_();
  dead.float_inputs.select(1, 7).zero_();
  std::vector<SolverEvent> events;
  const at::Tensor found = dead.solve(*solver, &events).dequantize();
  EXPECT_THAT(events, ::testing::Contains(::testing::Field(&SolverEvent::what, "dead columns")));
  EXPECT_LE((found - dead.weight).abs().max().item<float>(), dead.weight.abs().max().item<float>());

  const Layer few(16, 48, 5, "few");
  events.clear();
  EXPECT_TRUE(all_finite(few.solve(*solver, &events).dequantize()));
  EXPECT_THAT(events,
              ::testing::Contains(::testing::Field(&SolverEvent::what, "fewer calibration tokens than columns")));
}

INSTANTIATE_TEST_SUITE_P(Registered, EverySolver, ::testing::ValuesIn(registry().names()),
                         [](const auto& named) { return named.param; });

}  // namespace
}  // namespace lowbit
