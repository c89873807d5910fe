#include "lowbit/registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using testing::error_text;

class Solver {
 public:
  virtual ~Solver() = default;
  [[nodiscard]] virtual int bits() const = 0;
};

struct SolverOptions {
  int bits = 4;
  int group = 128;
  void visit(FieldVisitor& v) {
    v.field("bits", bits, "weight width in bits", {2, 8});
    v.field("group", group, "columns that share a scale", {1});
  }
  void validate(ConfigProblems& problems, const SourceMark& mark) const {
    if (bits == 2 && group > 64) problems.add(mark, "2 bits need a 'group' of at most 64");
  }
};

class TestSolver : public Solver {
 public:
  explicit TestSolver(int bits) : bits_(bits) {}
  [[nodiscard]] int bits() const override { return bits_; }

 private:
  int bits_;
};

void add(Registry<Solver>& solvers, std::string name) {
  solvers.add<SolverOptions>(std::move(name), "a solver", "somebody 2020",
                             [](const SolverOptions& options) { return std::make_unique<TestSolver>(options.bits); });
}

// What `create` makes of a name and options, and the problems it reports.
struct Created {
  std::unique_ptr<Solver> solver;
  std::string problems;
};

std::string text_of(const ConfigProblems& problems) {
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() {
    add(solvers_, "rtn");
    add(solvers_, "gptq");
  }
  [[nodiscard]] Created create(std::string_view name, std::string_view yaml) const {
    ConfigProblems problems;
    auto solver = solvers_.create(name, {"x.yaml", 9, 3}, ConfigNode::parse(yaml, "x.yaml"), problems);
    return {std::move(solver), text_of(problems)};
  }
  Registry<Solver> solvers_{"solver"};
};

TEST_F(RegistryTest, MakesModulesFromTheirOptions) {
  const Created created = create("rtn", "bits: 3");
  ASSERT_NE(created.solver, nullptr);
  EXPECT_EQ(created.solver->bits(), 3);
  EXPECT_EQ(created.problems, "");
  EXPECT_EQ(create("rtn", "").solver->bits(), 4);
}

TEST_F(RegistryTest, SuggestsANearNameForAnUnknownOne) {
  const Created created = create("rnt", "");
  EXPECT_EQ(created.solver, nullptr);
  EXPECT_EQ(created.problems, "x.yaml:9:3: unknown solver 'rnt'; did you mean 'rtn'?");
}

TEST_F(RegistryTest, ListsTheKnownNamesForAFarOne) {
  EXPECT_EQ(create("smooth", "").problems, "x.yaml:9:3: unknown solver 'smooth'; known: 'gptq', 'rtn'");
}

TEST_F(RegistryTest, MakesNothingOfOptionsWithProblems) {
  const Created created = create("gptq", "bits: 9\ngruop: 64");
  EXPECT_EQ(created.solver, nullptr);
  EXPECT_EQ(created.problems,
            "x.yaml:1:7: 'bits' is 9, expected 2..8\nx.yaml:2:1: unknown key 'gruop'; did you mean 'group'?");
}

TEST_F(RegistryTest, RunsTheValidationOfTheOptions) {
  const Created created = create("gptq", "bits: 2");
  EXPECT_EQ(created.solver, nullptr);
  EXPECT_EQ(created.problems, "x.yaml:1:1: 2 bits need a 'group' of at most 64");
  EXPECT_NE(create("gptq", "{bits: 2, group: 64}").solver, nullptr);
}

TEST_F(RegistryTest, MakesModulesInSpiteOfEarlierProblems) {
  ConfigProblems problems;
  problems.add({}, "from elsewhere");
  EXPECT_NE(solvers_.create("rtn", {}, ConfigNode(), problems), nullptr);
  EXPECT_EQ(problems.size(), 1U);
}

TEST_F(RegistryTest, ResolvesOptionsWithTheirDefaults) {
  ConfigProblems problems;
  const ConfigNode resolved = solvers_.resolve("rtn", {}, ConfigNode::parse("bits: 3", "x.yaml"), problems);
  EXPECT_EQ(resolved.to_yaml(), "bits: 3\ngroup: 128\n");
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(solvers_.resolve("rtn", {}, resolved, problems), resolved);
}

TEST_F(RegistryTest, ResolvesOptionsWithProblemsToNull) {
  ConfigProblems problems;
  EXPECT_TRUE(solvers_.resolve("rtn", {}, ConfigNode::parse("bits: x", "x.yaml"), problems).is_null());
  EXPECT_TRUE(solvers_.resolve("none", {}, ConfigNode(), problems).is_null());
  EXPECT_EQ(problems.size(), 2U);
}

TEST_F(RegistryTest, RefusesASecondModuleOfTheSameName) {
  try {
    add(solvers_, "rtn");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPlugin);
    EXPECT_STREQ(error.what(), "a solver named 'rtn' is registered already");
  }
  EXPECT_EQ(solvers_.names().size(), 2U);
}

TEST_F(RegistryTest, RemembersWhereEachModuleComesFrom) {
  const ModuleOrigin plugin{"mine", "1.0", {}};
  solvers_.set_origin(plugin);
  add(solvers_, "theirs");
  EXPECT_EQ(solvers_.origin_of("theirs"), plugin);
  EXPECT_TRUE(solvers_.origin_of("rtn").built_in());
  EXPECT_EQ(solvers_.modules().back().origin, plugin);
  EXPECT_EQ(error_text(ErrorCode::kPlugin, [&] { add(solvers_, "theirs"); }),
            "a solver named 'theirs' is registered already by plugin 'mine' 1.0");
}

TEST_F(RegistryTest, DescribesItsModulesInOrder) {
  EXPECT_THAT(solvers_.names(), ElementsAre("gptq", "rtn"));
  EXPECT_EQ(solvers_.family(), "solver");
  EXPECT_TRUE(solvers_.contains("rtn"));
  EXPECT_FALSE(solvers_.contains("rt"));
  const std::vector<ModuleInfo> modules = solvers_.modules();
  ASSERT_EQ(modules.size(), 2U);
  EXPECT_EQ(modules[1].name, "rtn");
  EXPECT_EQ(modules[1].summary, "a solver");
  EXPECT_EQ(modules[1].citation, "somebody 2020");
  ASSERT_EQ(modules[1].fields.size(), 2U);
  EXPECT_EQ(modules[1].fields[0].type, "integer 2..8");
}

}  // namespace
}  // namespace lowbit
