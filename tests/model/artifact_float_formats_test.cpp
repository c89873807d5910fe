// Floating-point formats on the disk, as compressed-tensors lays them out.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <tuple>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/model/artifact.h"
#include "lowbit/tensor/factory.h"
#include "model/artifact_layout.h"
#include "model/artifact_source.h"
#include "model/foreign_artifact.h"
#include "model/small_model.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using lowbit::testing::forget_metadata;
using lowbit::testing::NoTokenizer;
using lowbit::testing::SmallModel;
using lowbit::testing::TemporaryFolder;

using Change = std::function<void(const std::string& slot, QuantizedWeight&)>;

class FloatFormats : public ::testing::Test {
 protected:
  FloatFormats() {
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);  // fingerprints are remembered there
    std::filesystem::create_directory(folder_ / "base");
    base_ = std::make_shared<SmallModel>(folder_ / "base");
  }
  std::map<std::string, QuantizedWeight> linears(std::int64_t block, const GridSpec& grid, const Change& change) const {
    std::map<std::string, QuantizedWeight> result;
    for (const char* slot : {"self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"}) {
      const std::string name = "model.layers." + std::to_string(block) + "." + slot + ".weight";
      result[slot] = quantize_to_nearest(base_->load(name, {}), grid);
      if (change) change(slot, result[slot]);
    }
    return result;
  }
  void write(const GridSpec& grid, const Change& change) const {
    ArtifactWriter writer(out(), base_, tokenizer_, "key");
    for (std::int64_t index = 0; index < 2; ++index) writer.write_block({index, linears(index, grid, change), {}, {}});
    writer.finish("{}");
  }
  void expect_read(const GridSpec& grid, const Change& change) const {
    const auto source = open_artifact(out());
    for (const auto& [slot, weight] : linears(1, grid, change)) {
      const std::string name = "model.layers.1." + slot;
      EXPECT_TRUE(source->load(name + ".weight", {weight.rows(), weight.columns()}).equal(weight.dequantize()))
          << slot << " " << grid.text();
      EXPECT_TRUE(source->load_quantized(name)->codes.equal(weight.codes)) << slot << " " << grid.text();
    }
  }
  Json json(const std::string& file) const { return parse_json(read_file(out() / file), file); }
  std::filesystem::path out() const { return folder_ / "artifact"; }

  TemporaryFolder folder_;
  std::shared_ptr<SmallModel> base_;
  NoTokenizer tokenizer_;
};

TEST_F(FloatFormats, StoresFloatingPointFormatsAsCompressedTensorsDoes) {
  GridSpec per_tensor = GridOptions::of(NumberFormat::kE4m3).spec();
  per_tensor.group = 0;
  const GridSpec per_channel = GridOptions::of(NumberFormat::kE4m3).spec();
  // 44 columns hold no whole groups of 16 or 32.
  const Change narrow = [&](const std::string& slot, QuantizedWeight& weight) {
    if (slot == "mlp.down_proj") weight = quantize_to_nearest(weight.dequantize(), per_channel);
  };
  const std::vector<std::tuple<GridSpec, Change, std::string>> cases = {
      {per_channel, {}, "float-quantized"},
      {per_tensor, {}, "float-quantized"},
      {GridOptions::of(NumberFormat::kNvfp4).spec(), narrow, "mixed-precision"},
      {GridOptions::of(NumberFormat::kMxfp4).spec(), narrow, "mixed-precision"}};
  for (const auto& [grid, change, format] : cases) {
    std::filesystem::remove_all(out());
    write(grid, change);
    expect_read(grid, change);
    EXPECT_EQ(json("config.json")["quantization_config"]["format"], format);
    EXPECT_THAT(json("config.json")["quantization_config"]["ignore"].dump(),
                ::testing::Not(::testing::HasSubstr("q_proj")));
    EXPECT_EQ(json("lowbit.json")["layout"], "compressed-tensors " + format);
    forget_metadata(out());
    EXPECT_EQ(open_artifact(out())->format(), "compressed-tensors " + format);
    expect_read(grid, change);
  }
}

TEST_F(FloatFormats, PacksTwoFloatingPointCodesAByte) {
  QuantizedWeight weight =
      quantize_to_nearest(make_full({1, 32}, 6.0, DType::kFloat32), GridOptions::of(NumberFormat::kMxfp4).spec());
  for (std::uint8_t i = 0; i < 32; ++i) mutable_values_of<std::uint8_t>(weight.codes)[i] = i % 16;
  const std::vector<StoredPart> parts = store_weight(weight);
  EXPECT_EQ(parts[0].suffix, "weight_packed");
  EXPECT_EQ(parts[0].shape, (Shape{1, 16}));
  EXPECT_EQ(parts[0].bytes[0], std::byte{0x10});  // column 0 low, column 1 high
  EXPECT_EQ(parts[0].bytes[7], std::byte{0xFE});
  EXPECT_EQ(parts[1].suffix, "weight_scale");
  EXPECT_EQ(parts[1].type, StorageType::kU8);
  EXPECT_EQ(parts[1].bytes[0], std::byte{127});  // 6 = 1.5 * 2^2, two less: 2^0
}

}  // namespace
}  // namespace lowbit
