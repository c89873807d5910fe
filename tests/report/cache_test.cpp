// What tables say of KV caches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/report/report.h"
#include "report/rows.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CacheReport : public ::testing::Test {
 protected:
  void add(const std::string& recipe, const std::string& evaluation, const std::string& cache, double bits) {
    CellResult cell;
    cell.model = "m";
    cell.recipe = recipe;
    cell.evaluation = evaluation;
    cell.result.protocol = evaluation;
    cell.result.metrics = {{"perplexity", 10, 0.5, false}};
    if (bits > 0) cell.result.metrics.push_back({"cache_bits", bits, {}, false});
    if (!cache.empty()) cell.result.facts = {{"cache", cache}};
    if (recipe != "float") cell.size = StoredSize{};
    results.cells.push_back(std::move(cell));
  }
  Results results;
};

TEST_F(CacheReport, ShowsWhatEachRowsCacheTook) {
  add("float", "gptq-64 prefill-32", "float", 32);
  add("kivi", "gptq-64 prefill-32", "kivi", 3.456);
  const std::string table = terminal_table(results, false);
  EXPECT_THAT(table, HasSubstr("32.00 bits"));
  EXPECT_THAT(table, HasSubstr("3.46 bits"));
  EXPECT_THAT(table, Not(HasSubstr("cache float")));  // the heading speaks of no row's cache
}

TEST_F(CacheReport, MarksRowsWhoseCacheWasNotRead) {
  add("float", "gptq-64", "", 0);
  add("kivi", "gptq-64", "not exercised", 0);
  EXPECT_THAT(terminal_table(results, false), HasSubstr("not exercised"));
  EXPECT_THAT(markdown_report(results), HasSubstr("| not exercised |"));
}

TEST_F(CacheReport, HasNoColumnWhereNobodyRoundsACache) {
  add("float", "gptq-64", "", 0);
  add("rtn", "gptq-64", "", 0);
  EXPECT_THAT(terminal_table(results, false), Not(HasSubstr("cache")));
}

// A recipe with a KV cache step and no solver.
TEST_F(CacheReport, CallsWeightsThatNobodyRoundedFloat) {
  add("kivi", "gptq-64 prefill-32", "kivi", 3);
  EXPECT_THAT(storage_table(results).markdown(), HasSubstr("| kivi | - | float |"));
  EXPECT_THAT(evaluation_table(results, "gptq-64 prefill-32").markdown(), HasSubstr("| kivi | - | float |"));
}

}  // namespace
}  // namespace lowbit
