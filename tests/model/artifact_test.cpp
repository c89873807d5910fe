#include "lowbit/model/artifact.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"
#include "lowbit/formats/codebooks.h"
#include "model/artifact_layout.h"
#include "model/artifact_source.h"
#include "model/foreign_artifact.h"
#include "model/small_model.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using lowbit::testing::NoTokenizer;
using lowbit::testing::SmallModel;
using lowbit::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kSlots = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                         "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

using Change = std::function<void(const std::string& slot, QuantizedWeight&)>;

class Artifact : public ::testing::Test {
 protected:
  Artifact() {
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);  // fingerprints are remembered there
    std::filesystem::create_directory(folder_ / "base");
    base_ = std::make_shared<SmallModel>(folder_ / "base");
  }

  BlockArtifact block(std::int64_t index, const GridSpec& grid, const Change& change = {}) const {
    BlockArtifact block;
    block.index = index;
    for (const std::string& slot : kSlots) {
      const auto weight = base_->load("model.layers." + std::to_string(index) + "." + slot + ".weight", {});
      QuantizedWeight quantized = quantize_to_nearest(weight, grid);
      if (change) change(slot, quantized);
      block.linears[slot] = quantized;
    }
    return block;
  }

  // Writes both blocks and reads the folder back.
  std::shared_ptr<const WeightSource> write(const GridSpec& grid, const Change& change = {}) {
    ArtifactWriter writer(out(), base_, tokenizer_, "key");
    for (std::int64_t index = 0; index < 2; ++index) writer.write_block(block(index, grid, change));
    writer.finish("{\"recipe\": \"test\"}");
    return open_artifact(out());
  }

  void expect_same(const WeightSource& source, const GridSpec& grid, const Change& change = {}) const {
    for (std::int64_t index = 0; index < 2; ++index) {
      for (const auto& [slot, weight] : block(index, grid, change).linears) {
        const std::string name = "model.layers." + std::to_string(index) + "." + slot;
        const auto stored = source.load_quantized(name);
        ASSERT_TRUE(stored.has_value()) << name;
        EXPECT_EQ(stored->content_hash(), weight.content_hash()) << name << " " << grid.text();
        EXPECT_TRUE(source.load(name + ".weight", {weight.rows(), weight.columns()}).equal(weight.dequantize()))
            << name;
      }
    }
  }

  Json json(const std::string& file) const { return parse_json(read_file(out() / file), file); }
  std::filesystem::path out() const { return folder_ / "artifact"; }

  TemporaryFolder folder_;
  std::shared_ptr<SmallModel> base_;
  NoTokenizer tokenizer_;
};

GridSpec int4(std::int64_t group, Symmetry symmetry = Symmetry::kAsymmetric) {
  return {GridKind::kInteger, 4, symmetry, "", group, ScaleType::kFloat16};
}

std::string message_of(const std::function<void()>& action, ErrorCode code) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

TEST_F(Artifact, ReturnsEveryIntegerGridBitForBit) {
  for (const Symmetry symmetry :
       {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymRestricted, Symmetry::kSymFullSigned}) {
    for (const std::int64_t group : {4, 32, -1, 0}) {
      const ScaleType scale = group == 4   ? ScaleType::kBFloat16
                              : group == 0 ? ScaleType::kFloat32
                                           : ScaleType::kFloat16;
      // Each linear of a block has another width, 2 to 8 bits.
      const Change widths = [&](const std::string& slot, QuantizedWeight& weight) {
        const auto place = std::find(kSlots.begin(), kSlots.end(), slot) - kSlots.begin();
        const GridSpec grid{GridKind::kInteger, static_cast<int>(2 + place), symmetry, "", group, scale};
        weight = quantize_to_nearest(weight.dequantize(), grid);
      };
      std::filesystem::remove_all(out());
      expect_same(*write(int4(4), widths), int4(4), widths);
    }
  }
}

TEST_F(Artifact, ReturnsTheGridsOfItsOwnLayoutBitForBit) {
  const std::vector<GridSpec> grids = {
      {GridKind::kOffset, 4, Symmetry::kAsymmetric, "", 16, ScaleType::kFloat16},
      {GridKind::kOffset, 3, Symmetry::kAsymmetric, "", 0, ScaleType::kFloat32},
      {GridKind::kCodebook, 4, Symmetry::kAsymmetric, "nf4", 16, ScaleType::kFloat32},
      {GridKind::kCodebook, 4, Symmetry::kAsymmetric, "e2m1", 32, ScaleType::kE8M0},
      {GridKind::kCodebook, 8, Symmetry::kAsymmetric, "e4m3", 16, ScaleType::kFloat32},
      {GridKind::kInteger, 4, Symmetry::kSymOffset, "", 8, ScaleType::kE8M0},
      {GridKind::kInteger, 4, Symmetry::kSymOffset, "", 8, ScaleType::kE4M3},
      {GridKind::kInteger, 4, Symmetry::kAsymmetric, "", 8, ScaleType::kUint8},
      {GridKind::kInteger, 3, Symmetry::kSymOffset, "", -1, ScaleType::kUint8},
      {GridKind::kCodebook, 6, Symmetry::kAsymmetric, "e3m2", 32, ScaleType::kE8M0, ScaleRule::kEven},
      {GridKind::kCodebook, 4, Symmetry::kAsymmetric, "nf4", 16, ScaleType::kBFloat16, ScaleRule::kAbsmax, 8, 20},
      {GridKind::kOffset, 3, Symmetry::kAsymmetric, "", 16, ScaleType::kFloat16, ScaleRule::kAbsmax, 3, 16},
      GridOptions::of(NumberFormat::kNvfp4).spec(),
      GridOptions::of(NumberFormat::kTernary).spec(),
  };
  for (const GridSpec& grid : grids) {
    std::filesystem::remove_all(out());
    expect_same(*write(grid), grid);
    EXPECT_EQ(json("lowbit.json")["layout"], "lowbit") << grid.text();
  }
}

// One change of each kind that compressed-tensors does not know.
const std::vector<std::pair<std::string, Change>>& changes() {
  static const std::vector<std::pair<std::string, Change>> all = {
      {"groups do not lie in the order of the columns (act-order)",
       [](const std::string&, QuantizedWeight& w) {
         std::vector<std::int32_t> index = w.column_groups();
         std::reverse(index.begin(), index.end());
         w.group_index = tensor_of(std::span<const std::int32_t>(index));
       }},
      {"groups have different bits",
       [](const std::string&, QuantizedWeight& w) {
         w.group_bits = make_full({w.scales.size(1)}, 4, DType::kUInt8);
         w.group_bits.select(0, 1).fill_(5);
         w.codes.narrow(1, 4, 4).add_(13);
       }},
      {"outliers are kept beside the grid",
       [](const std::string&, QuantizedWeight& w) {
         const std::vector<std::int32_t> rows = {0, 3, 3, 31};
         const std::vector<std::int32_t> columns = {5, 0, 31, 2};
         const std::vector<float> values = {9.0F, -8.5F, 0.0F, 1024.0F};
         w.outliers = SparseOutliers{tensor_of(std::span<const std::int32_t>(rows)),
                                     tensor_of(std::span<const std::int32_t>(columns)),
                                     tensor_of(std::span<const float>(values))};
       }},
      {"scales are themselves quantized",
       [](const std::string&, QuantizedWeight& w) {
         NestedScales nested;
         nested.bits = 3;
         nested.run = 5;
         nested.codes = w.codes.narrow(1, 0, w.scales.size(1)).bitwise_and(7).contiguous();
         nested.scales = make_full({(w.rows() + 4) / 5, w.scales.size(1)}, 0.3, DType::kFloat32);
         nested.zeros = make_full({(w.rows() + 4) / 5, w.scales.size(1)}, -0.1, DType::kFloat32);
         w.scales = nested.dequantize();
         w.nested_scales = nested;
       }},
      {"inputs or outputs are rotated at run time",
       [](const std::string&, QuantizedWeight& w) {
         w.rotations = {{RotationTag::Side::kInput, "hadamard", 4}, {RotationTag::Side::kOutput, "other", 0}};
       }},
  };
  return all;
}

TEST_F(Artifact, ReturnsEverythingACompressedTensorsReaderDoesNotKnow) {
  for (const auto& [reason, change] : changes()) {
    std::filesystem::remove_all(out());
    expect_same(*write(int4(4), change), int4(4), change);
    const Json config = json("config.json");
    EXPECT_EQ(config["quantization_config"]["quant_method"], "lowbit") << reason;
    EXPECT_EQ(config["model_type"], "lowbit") << "so that other readers stop";
    EXPECT_EQ(config["base_config"]["hidden_size"], 32);
    EXPECT_THAT(json("lowbit.json")["layout_reason"].get<std::string>(), HasSubstr(reason));
  }
}

TEST_F(Artifact, CountsTheBitsThatItsTensorsTake) {
  std::vector<std::pair<GridSpec, Change>> cases = {
      {int4(4), {}},
      {int4(32), {}},
      {int4(-1, Symmetry::kSymOffset), {}},
      {int4(0), {}},
      {{GridKind::kInteger, 3, Symmetry::kAsymmetric, "", 4, ScaleType::kFloat16}, {}},
      {{GridKind::kOffset, 3, Symmetry::kAsymmetric, "", 8, ScaleType::kFloat16}, {}},
      {{GridKind::kCodebook, 4, Symmetry::kAsymmetric, "nf4", 16, ScaleType::kE8M0}, {}},
      {{GridKind::kOffset, 3, Symmetry::kAsymmetric, "", 16, ScaleType::kFloat16, ScaleRule::kAbsmax, 3, 16}, {}},
      {{GridKind::kInteger, 4, Symmetry::kAsymmetric, "", 8, ScaleType::kUint8}, {}},
      {GridOptions::of(NumberFormat::kNvfp4).spec(), {}},
      {GridOptions::of(NumberFormat::kMxfp4).spec(), {}},
      {GridOptions::of(NumberFormat::kE4m3).spec(), {}}};
  for (const auto& [reason, change] : changes()) cases.emplace_back(int4(4), change);
  for (const auto& [grid, change] : cases) {
    std::filesystem::remove_all(out());
    const auto source = write(grid, change);
    for (const StoredTensor& tensor : source->tensors()) {
      if (!tensor.name.ends_with("proj.weight")) continue;
      const auto weight = source->load_quantized(tensor.name.substr(0, tensor.name.size() - 7));
      // All bytes but the shape, two numbers of eight, which floating-point formats do without.
      const std::int64_t shape = code_layout_of(*weight) == CodeLayout::kPacked ? 16 : 0;
      EXPECT_EQ(weight->stored_bits(), 8 * (tensor.bytes - shape)) << tensor.name << " " << grid.text();
    }
    EXPECT_GT(stored_size(*source).bits_per_quantized_weight, grid.bits);
    EXPECT_EQ(stored_size(*source).quantized_weights, 2 * (4 * 32 * 32 + 3 * 32 * 44));
  }
}

TEST_F(Artifact, SaysItsGridsInCompressedTensorsWords) {
  (void)write(int4(4));
  const Json quantization = json("config.json")["quantization_config"];
  EXPECT_EQ(quantization["format"], "pack-quantized");
  EXPECT_EQ(quantization["quantization_status"], "compressed");
  EXPECT_EQ(quantization["ignore"], Json::array({"lm_head"}));
  EXPECT_EQ(quantization["config_groups"]["group_0"]["targets"], Json::array({"Linear"}));
  EXPECT_EQ(quantization["config_groups"]["group_0"]["weights"].dump(),
            R"({"num_bits":4,"type":"int","symmetric":false,"strategy":"group","group_size":4,"dynamic":false})");
  EXPECT_EQ(json("lowbit.json")["layout"], "compressed-tensors pack-quantized");
  EXPECT_EQ(json("lowbit.json")["description"]["recipe"], "test");
  EXPECT_EQ(json("config.json")["hidden_size"], 32) << "the base's own keys stay";
  EXPECT_EQ(read_file(out() / "tokenizer.json"), "{\"made\": \"up\"}");
}

TEST_F(Artifact, NamesTheLinearsOfEachGrid) {
  const Change mixed = [](const std::string& slot, QuantizedWeight& weight) {
    if (slot == "mlp.down_proj") weight = quantize_to_nearest(weight.dequantize(), int4(-1, Symmetry::kSymOffset));
  };
  const auto source = write(int4(4), mixed);
  const Json groups = json("config.json")["quantization_config"]["config_groups"];
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups["group_1"]["targets"].size() + groups["group_0"]["targets"].size(), 14U);
  expect_same(*source, int4(4), mixed);
}

TEST_F(Artifact, IgnoresLinearsThatAreNotQuantized) {
  ArtifactWriter writer(out(), base_, tokenizer_, "key");
  for (std::int64_t index = 0; index < 2; ++index) {
    BlockArtifact part = block(index, int4(4));
    part.linears.erase("self_attn.o_proj");
    writer.write_block(part);
  }
  writer.finish("{}");
  EXPECT_EQ(json("config.json")["quantization_config"]["ignore"],
            Json::array({"model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.o_proj", "lm_head"}));
  const auto source = open_artifact(out());
  const std::string name = "model.layers.1.self_attn.o_proj";
  EXPECT_FALSE(source->load_quantized(name).has_value());
  EXPECT_TRUE(source->load(name + ".weight", {32, 32}).equal(base_->load(name + ".weight", {})));
}

TEST_F(Artifact, IsReadThroughCompressedTensorsWordsAlone) {
  for (const GridSpec& grid : {int4(4), int4(-1), int4(0), int4(0, Symmetry::kSymOffset)}) {
    std::filesystem::remove_all(out());
    (void)write(grid);
    lowbit::testing::forget_metadata(out());
    const auto source = open_artifact(out());
    EXPECT_EQ(source->format(), "compressed-tensors pack-quantized");
    for (const auto& [slot, weight] : block(1, grid).linears) {
      EXPECT_TRUE(source->load("model.layers.1." + slot + ".weight", {weight.rows(), weight.columns()})
                      .equal(weight.dequantize()));
    }
  }
}

TEST_F(Artifact, KeepsFloatTypesAndTakesChangedTensors) {
  ArtifactWriter writer(out(), base_, tokenizer_, "key");
  for (std::int64_t index = 0; index < 2; ++index) {
    BlockArtifact part = block(index, int4(4));
    part.tensors["model.layers." + std::to_string(index) + ".input_layernorm.weight"] =
        make_full({32}, 0.3, DType::kFloat32);
    writer.write_block(part);
  }
  writer.finish("{}", {{"model.norm.weight", make_full({32}, 0.7, DType::kFloat32)}});
  const auto source = open_artifact(out());
  for (const StoredTensor& tensor : source->tensors()) {
    if (tensor.name.ends_with("post_attention_layernorm.weight")) {
      EXPECT_EQ(tensor.type, "F16");
    }
    if (tensor.name.ends_with("input_layernorm.weight")) {
      EXPECT_EQ(tensor.type, "F32");
    }
    if (tensor.name.ends_with("q_proj.weight")) {
      EXPECT_EQ(tensor.type, "int4 g4 asymmetric");
    }
  }
  EXPECT_EQ(source->load("model.layers.0.input_layernorm.weight", {32}).max().item<float>(), 0.3F);
  EXPECT_EQ(source->load("model.norm.weight", {32}).max().item<float>(), 0.7F);
  EXPECT_TRUE(source->load("model.embed_tokens.weight", {20, 32}).equal(base_->load("model.embed_tokens.weight", {})));
}

TEST_F(Artifact, ContinuesWhereItWasLeft) {
  {
    ArtifactWriter writer(out(), base_, tokenizer_, "key");
    EXPECT_THAT(writer.finished_blocks(), ElementsAre());
    writer.write_block(block(1, int4(4)));
  }
  ArtifactWriter writer(out(), base_, tokenizer_, "key");
  EXPECT_FALSE(writer.finished());
  EXPECT_THAT(writer.finished_blocks(), ElementsAre(1));
  const BlockArtifact read = writer.read_block(1);
  for (const auto& [slot, weight] : block(1, int4(4)).linears) {
    EXPECT_EQ(read.linears.at(slot).content_hash(), weight.content_hash()) << slot;
  }
  EXPECT_TRUE(read.tensors.contains("model.layers.1.input_layernorm.weight"));
  EXPECT_THAT(message_of([&] { writer.finish("{}"); }, ErrorCode::kInternal), HasSubstr("1 of 2 blocks are written"));
  writer.write_block(block(0, int4(4)));
  writer.finish("{}");
  EXPECT_TRUE(ArtifactWriter(out(), base_, tokenizer_, "key").finished());
}

TEST_F(Artifact, IsTheSameWhenItIsWrittenBehind) {
  (void)write(int4(4));
  std::filesystem::rename(out(), folder_ / "before");
  {
    ArtifactWriter writer(out(), base_, tokenizer_, "key");
    writer.write_behind();
    writer.write_rest({}, std::nullopt);
    for (std::int64_t index = 0; index < 2; ++index) writer.write_block(block(index, int4(4)));
    writer.finish("{\"recipe\": \"test\"}");
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "before")) {
    const auto name = entry.path().filename();
    EXPECT_EQ(read_file(out() / name), read_file(entry.path())) << name;
  }
}

TEST_F(Artifact, ThrowsWhatWentWrongBehindAtTheNextWrite) {
  ArtifactWriter writer(out(), base_, tokenizer_, "key");
  writer.write_behind();
  std::filesystem::create_directory(out() / "model-00001-of-00003.safetensors");
  writer.write_block(block(0, int4(4)));
  EXPECT_THAT(message_of([&] { writer.write_block(block(1, int4(4))); }, ErrorCode::kIo),
              AllOf(HasSubstr("model-00001-of-00003.safetensors"), HasSubstr("Is a directory")));
}

TEST_F(Artifact, RefusesAFolderOfAnotherRun) {
  { ArtifactWriter writer(out(), base_, tokenizer_, "first"); }
  EXPECT_EQ(
      message_of([&] { ArtifactWriter writer(out(), base_, tokenizer_, "second"); }, ErrorCode::kConfig),
      out().string() +
          ": was begun under key 'first', and this run's key is 'second'; name another folder or delete this one");
}

TEST_F(Artifact, RefusesAWeightThatFailsItsCheck) {
  ArtifactWriter writer(out(), base_, tokenizer_, "key");
  const BlockArtifact bad = block(0, int4(4), [](const std::string& slot, QuantizedWeight& w) {
    if (slot == "self_attn.q_proj") w.scales.fill_(0.1F);
  });
  EXPECT_THAT(message_of([&] { writer.write_block(bad); }, ErrorCode::kData),
              HasSubstr("model.layers.0.self_attn.q_proj: scales hold 0.1 at position 0"));
}

TEST_F(Artifact, NamesTensorsThatAreMissingOrOfAnotherShape) {
  const auto source = write(int4(4));
  EXPECT_THAT(message_of(
                  [&] {
                    (void)source->load("model.layers.0.mlp.up_proj.weight", {44, 31});
                  },
                  ErrorCode::kData),
              HasSubstr("tensor 'model.layers.0.mlp.up_proj.weight' is [44, 32], expected [44, 31]"));
  EXPECT_THAT(message_of([&] { (void)source->load("model.norm.weight", {31}); }, ErrorCode::kData),
              HasSubstr("tensor 'model.norm.weight' is [32], expected [31]"));
  EXPECT_THAT(message_of(
                  [&] {
                    (void)source->load("lm_head.weight", {20, 32});
                  },
                  ErrorCode::kData),
              HasSubstr("tensor 'lm_head.weight' is missing"));
  EXPECT_TRUE(source->contains("model.layers.0.mlp.up_proj.weight"));
  EXPECT_FALSE(source->contains("model.layers.0.mlp.up_proj"));
}

TEST_F(Artifact, HasAFingerprintOfItsBytes) {
  const Hash first = write(int4(4))->fingerprint();
  std::filesystem::remove_all(out());
  EXPECT_EQ(write(int4(4))->fingerprint(), first);
  std::filesystem::remove_all(out());
  EXPECT_NE(write(int4(4, Symmetry::kSymOffset))->fingerprint(), first);
}

}  // namespace
}  // namespace lowbit
