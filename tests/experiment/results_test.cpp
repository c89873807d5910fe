#include "lowbit/experiment/results.h"

#include <gtest/gtest.h>

#include <cmath>

#include "experiment/result_json.h"
#include "lowbit/base/error.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

EvaluationResult sample_result() {
  EvaluationResult result;
  result.evaluation = "perplexity";
  result.label = "wordnet gptq-512";
  result.protocol = "gptq-512";
  result.metrics = {{"perplexity", 12.5, 0.25, false}, {"top1_agreement", 0.9, std::nullopt, true}};
  result.items = {{"window 0", 2.5, 511, {{"kl", 0.125}}}, {"window 1", 2.25, 511, {{"kl", std::nan("")}}}};
  result.consecutive = true;
  result.facts = {{"tokens", "1024"}};
  return result;
}

TEST(EvaluationJson, ReadsBackWhatItWroteWithNumbersThatAreNotFinite) {
  const auto [read, cost] = evaluation_from_json(evaluation_json(sample_result(), {1.5, 1000, 500}), "r.json");
  EXPECT_EQ(read.label, "wordnet gptq-512");
  EXPECT_EQ(read.protocol, "gptq-512");
  ASSERT_EQ(read.metrics.size(), 2U);
  EXPECT_EQ(read.metrics[0].standard_error, 0.25);
  EXPECT_FALSE(read.metrics[1].standard_error.has_value());
  ASSERT_EQ(read.items.size(), 2U);
  EXPECT_EQ(read.items[0].more.at("kl"), 0.125);
  EXPECT_TRUE(std::isnan(read.items[1].more.at("kl")));
  EXPECT_TRUE(read.consecutive);
  EXPECT_EQ(read.facts, sample_result().facts);
  EXPECT_EQ(cost.peak_memory, 1000);
}

TEST(EvaluationJson, NamesTheFileAndTheRemedyWhenDamaged) {
  for (const char* text : {"{", "{\"version\": 1}", "{\"version\": 99}", "[]", "{\"version\": \"x\"}"}) {
    try {
      (void)evaluation_from_json(text, "r.json");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_EQ(std::string(error.what()).rfind("r.json: ", 0), 0U) << error.what();
    }
  }
}

TEST(EvaluationJson, RefusesNumbersThatNoIntegerHolds) {
  const std::string whole = evaluation_json(sample_result(), {1.5, 1000, 500});
  for (const char* number : {"1e300", "-1e300", "18446744073709551615", "0.5", "true"}) {
    std::string changed = whole;
    const std::string stated = "\"peak_memory_bytes\": 1000";
    changed.replace(changed.find(stated), stated.size(), std::string("\"peak_memory_bytes\": ") + number);
    EXPECT_EQ(testing::error_text(ErrorCode::kData, [&] { (void)evaluation_from_json(changed, "r.json"); })
                  .rfind("r.json: expected a whole number, found ", 0),
              0U)
        << number;
  }
}

TEST(QuantizeJson, AveragesOutputErrorOverLayersThatHaveOne) {
  QuantizeReport report;
  report.layers = {{"a", "int4", 0.1, 0.2, 1.0}, {"b", "int4", 0.1, -1, 1.0}, {"c", "int4", 0.1, 0.4, 1.0}};
  report.events = {{"a", "dead columns", 3}};
  report.size = {4.25, 100, 60};
  const QuantizeRecord record = quantize_from_json(quantize_json(report, {2.0, 1, 1}), "q.json");
  EXPECT_DOUBLE_EQ(record.mean_output_error, 0.3);
  EXPECT_EQ(record.size.bits_per_quantized_weight, 4.25);
  ASSERT_EQ(record.events.size(), 1U);
  EXPECT_EQ(record.events[0].what, "dead columns");
}

}  // namespace
}  // namespace lowbit
