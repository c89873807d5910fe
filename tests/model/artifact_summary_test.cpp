#include "model/artifact_summary.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/model/activation_scheme.h"
#include "lowbit/tensor/factory.h"
#include "model/small_model.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::NoTokenizer;
using testing::SmallModel;
using testing::TemporaryFolder;

using Records = std::map<std::string, std::vector<RuntimeRecord>>;

// What is written tells config.json of itself; what an earlier process wrote is read back for it.
class ArtifactSummaries : public ::testing::Test {
 protected:
  ArtifactSummaries() {
    std::filesystem::create_directory(folder_ / "base");
    base_ = std::make_shared<SmallModel>(folder_ / "base");
  }

  // Two linears stay float, one of them changed and so in another type than the model's.
  BlockArtifact block(std::int64_t index, const Records& records) const {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    BlockArtifact block;
    block.index = index;
    for (const char* slot : {"self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      GridSpec grid;
      grid.group = -1;
      block.linears[slot] = quantize_to_nearest(base_->load(prefix + slot + ".weight", {}), grid);
    }
    const std::string changed = prefix + "self_attn.v_proj.weight";
    block.tensors[changed] = base_->load(changed, {}).mul(2);
    block.executions = records;
    return block;
  }

  // The texts of config.json and lowbit.json, with a process for each `blocks_each` blocks.
  std::string write(const Records& records, bool head, std::int64_t blocks_each) const {
    std::filesystem::remove_all(folder_ / "artifact");
    std::optional<QuantizedWeight> quantized_head;
    if (head) quantized_head = quantize_to_nearest(base_->load("model.embed_tokens.weight", {}), GridSpec{});
    for (std::int64_t first = 0; first < 2; first += blocks_each) {
      ArtifactWriter writer(folder_ / "artifact", base_, tokenizer_, "key");
      for (std::int64_t index = first; index < first + blocks_each; ++index) writer.write_block(block(index, records));
      if (first + blocks_each == 2) writer.finish("{}", {}, std::nullopt, quantized_head);
    }
    return read_file(folder_ / "artifact" / "config.json") + read_file(folder_ / "artifact" / "lowbit.json");
  }

  void expect_alike(const Records& records, bool head, const std::string& layout) const {
    const std::string at_once = write(records, head, 2);
    EXPECT_EQ(write(records, head, 1), at_once);
    EXPECT_NE(at_once.find("\"layout\": \"" + layout), std::string::npos) << at_once;
  }

  TemporaryFolder folder_;
  std::shared_ptr<SmallModel> base_;
  NoTokenizer tokenizer_;
};

TEST_F(ArtifactSummaries, AreAlikeOfWeightsAlone) {
  expect_alike({}, false, "compressed-tensors");
  expect_alike({}, true, "compressed-tensors");
}

TEST_F(ArtifactSummaries, AreAlikeOfRoundedInputs) {
  const RuntimeRecord rounded{ActivationScheme::kRecordName, echo_fields(ActivationScheme{}), {}};
  expect_alike({{"mlp.down_proj", {rounded}}, {"self_attn.q_proj", {}}}, false, "compressed-tensors");
}

TEST_F(ArtifactSummaries, AreAlikeOfWhatCompressedTensorsCannotSay) {
  const RuntimeRecord shift{"shift", ConfigNode::parse("{by: 0.5}", "x.yaml"), {}};
  expect_alike({{"mlp.down_proj", {shift}}}, false, "lowbit");
  expect_alike({{"self_attn.o_proj", {shift}}}, false, "lowbit");  // around a float weight
}

}  // namespace
}  // namespace lowbit
