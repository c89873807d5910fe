#include "lowbit/efficiency/roofline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "lowbit/base/json.h"
#include "model/small_model.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using lowbit::testing::error_text;
using lowbit::testing::SmallModel;
using lowbit::testing::TemporaryFolder;
using ::testing::HasSubstr;

const PublishedHardware& hardware(std::string_view name) {
  const auto& all = published_hardware();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == name; });
  if (found == all.end()) throw std::out_of_range(std::string(name));
  return *found;
}

class RooflineRun : public ::testing::Test {
 protected:
  RooflineRun() : model_(Model::make(std::make_shared<SmallModel>(folder_.path()), nullptr, {})) {}
  [[nodiscard]] ModelRoofline run(const RooflineOptions& options) const {
    return run_model_roofline(*model_, options, *silent_progress(), {});
  }
  static const RooflinePart& part(const std::vector<RooflinePart>& parts, std::string_view name) {
    return *std::find_if(parts.begin(), parts.end(), [&](const auto& each) { return each.name == name; });
  }
  TemporaryFolder folder_;
  std::shared_ptr<Model> model_;
};

// Two blocks of width 32 (4 heads of 8), 44 between, a head of 20 rows.
TEST_F(RooflineRun, CountsAndMeasuresEveryKindOfProduct) {
  const ModelRoofline roofline = run({.prompt = 5, .batch = 3, .repetitions = 3});
  std::vector<std::string> names;
  for (const RooflinePart& each : roofline.prefill) names.push_back(each.name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                     "down_proj", "lm_head", "attention"));
  const RooflinePart& down = part(roofline.prefill, "down_proj");
  EXPECT_EQ(down.count, 2);
  EXPECT_EQ(down.bytes, 2 * 44 * 32 * 4);
  EXPECT_EQ(down.operations, 2 * 2 * 44 * 32 * 15.0);
  EXPECT_GT(down.measured_seconds.value(), 0.0);
  EXPECT_EQ(part(roofline.decode, "down_proj").operations, 2 * 2 * 44 * 32 * 3.0);
  EXPECT_EQ(part(roofline.prefill, "lm_head").operations, 2 * 20 * 32 * 3.0);  // the last token of each
  // Keys 1 .. 5, 3 on average; two products of 2 operations for each of 32 numbers.
  EXPECT_EQ(part(roofline.prefill, "attention").operations, 2 * 3 * 5 * 3 * 4 * 32.0);
  EXPECT_FALSE(part(roofline.prefill, "attention").measured_seconds.has_value());
  for (const RooflinePart& each : roofline.decode) {
    EXPECT_GE(each.memory_seconds, each.bytes / roofline.machine.bandwidths.front().second) << each.name;
    EXPECT_EQ(each.predicted_seconds(), std::max(each.memory_seconds, each.compute_seconds)) << each.name;
  }
}

TEST_F(RooflineRun, PredictsPublishedHardwareFromTheSameBytesAndOperations) {
  const ModelRoofline roofline = run({.prompt = 5, .batch = 1, .repetitions = 3});
  ASSERT_EQ(roofline.elsewhere.size(), published_hardware().size());
  for (const HardwarePrediction& each : roofline.elsewhere) {
    double decode = 0;
    for (const RooflinePart& product : roofline.decode) {
      decode += std::max(product.bytes / each.hardware->bytes_per_second, product.operations / each.hardware->float32);
    }
    EXPECT_DOUBLE_EQ(each.decode_seconds, decode) << each.hardware->name;
    EXPECT_TRUE(each.fits) << each.hardware->name;
  }
  const Json json = parse_json(model_roofline_json(roofline), "roofline");
  EXPECT_EQ(json["published_hardware"].size(), published_hardware().size());
  EXPECT_EQ(json["decode_step"][0]["bound"], "memory");
  const std::string table = model_roofline_table(roofline);
  EXPECT_THAT(table, HasSubstr("prefill, 1 x 5 tokens"));
  EXPECT_THAT(table, HasSubstr("H100 SXM"));
}

TEST_F(RooflineRun, RefusesWhatMakesNoSense) {
  const auto text = [&](const RooflineOptions& options) {
    return error_text(ErrorCode::kConfig, [&] { (void)run(options); });
  };
  EXPECT_EQ(text({.prompt = 64}),
            "roofline: a prompt of 64 tokens, expected 1 to 63, one less than the model's context");
  EXPECT_EQ(text({.prompt = 4, .batch = 0}), "roofline: a batch of 0, expected 1 to 1024");
  EXPECT_EQ(text({.prompt = 4, .repetitions = 2}), "roofline: 2 repetitions, expected at least 3 for a median");
}

TEST(PublishedHardware, IsPlausible) {
  for (const PublishedHardware& each : published_hardware()) {
    EXPECT_GE(each.float16, each.float32) << each.name;
    EXPECT_GE(each.int8, each.float16 / 2) << each.name;
    // Operations for each byte read at which both take as long: far above 1 for everything that is sold.
    EXPECT_GT(each.float32 / each.bytes_per_second, 5) << each.name;
    EXPECT_LT(each.int8 / each.bytes_per_second, 1000) << each.name;
  }
}

TEST(PublishedHardware, MultipliesWeightsOfFewBitsAsFloat16AndBytesAsBytes) {
  const PublishedHardware& h100 = hardware("H100 SXM");
  EXPECT_EQ(h100.operations_per_second("int16"), 989e12);
  EXPECT_EQ(h100.operations_per_second("bfloat16"), 989e12);
  EXPECT_EQ(h100.operations_per_second("int8"), 1979e12);
  EXPECT_EQ(h100.operations_per_second("float32"), 67e12);
}

}  // namespace
}  // namespace lowbit
