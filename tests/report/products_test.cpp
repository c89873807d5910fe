#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/report/report.h"
#include "report/rows.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProductRecord packed(const std::string& linear, const std::string& arithmetic, double error, double share) {
  ProductRecord record;
  record.linear = linear;
  record.packed = true;
  record.arithmetic = arithmetic;
  record.kernels = "some: kernels";
  record.error = error;
  record.worst_share = share;
  record.outputs = 10;
  return record;
}

Results with_products() {
  Results results;
  results.models.push_back({"m", "hash", "GGUF", "m.gguf", {}});
  CellResult cell;
  cell.model = "m";
  cell.recipe = "w4";
  cell.evaluation = "test";
  cell.result.metrics = {{"perplexity", 2, std::nullopt, false}};
  cell.result.products = {packed("a", "int16", 1e-6, 0.25), packed("b", "int16", 3e-6, 0.125)};
  ProductRecord simulated;
  simulated.linear = "c";
  simulated.reason = "no kernel";
  cell.result.products.push_back(simulated);
  results.cells.push_back(cell);
  return results;
}

TEST(ProductsInReports, ShowTheLargestErrorAndShareOfEachKind) {
  const std::string table = products_table(with_products()).plain();
  EXPECT_THAT(table, HasSubstr("3.0e-06"));
  EXPECT_THAT(table, HasSubstr("25 %"));
  EXPECT_THAT(table, HasSubstr("20"));  // outputs of both
  EXPECT_THAT(table, HasSubstr("no kernel"));
}

TEST(ProductsInReports, StandInBothReportsWithWhatTheArithmeticRounds) {
  const Results results = with_products();
  EXPECT_THAT(terminal_table(results, false), HasSubstr("products with quantized weights"));
  EXPECT_THAT(markdown_report(results), HasSubstr("int16: inputs rounded to 16 bits"));
}

TEST(ProductsInReports, AreLeftOutWhereAllWereSimulated) {
  Results results = with_products();
  results.cells[0].result.products.clear();
  EXPECT_THAT(terminal_table(results, false), Not(HasSubstr("products")));
  EXPECT_THAT(markdown_report(results), Not(HasSubstr("How quantized products ran")));
}

TEST(SpeedInReports, StandsBesideTheRooflineAndTheFloatModel) {
  Results results = with_products();
  for (const auto& [recipe, rate] : {std::pair("float", 20.0), std::pair("w4", 50.0)}) {
    CellResult cell;
    cell.model = "m";
    cell.recipe = recipe;
    cell.evaluation = "speed";
    cell.result.evaluation = "efficiency";
    cell.result.metrics = {{"decode_tokens_per_second", rate, 0.5, true},
                           {"decode_share_of_roofline", 0.75, std::nullopt, true},
                           {"weight_bytes_per_token", 3 << 20, std::nullopt, false}};
    results.cells.push_back(cell);
  }
  const std::string table = terminal_table(results, false);
  EXPECT_THAT(table, HasSubstr("50.0 ± 0.5"));
  EXPECT_THAT(table, HasSubstr("2.50 x"));
  EXPECT_THAT(table, HasSubstr("75 %"));
  EXPECT_THAT(table, HasSubstr("3.0 MiB"));
  EXPECT_THAT(table, Not(HasSubstr("bits/weight  decode"))) << "a speed is not called bits";
}

}  // namespace
}  // namespace lowbit
