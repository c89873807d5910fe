#include "model/runtime_record.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/model/activation_scheme.h"
#include "lowbit/model/artifact.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/factory.h"
#include "model/foreign_artifact.h"
#include "model/small_model.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using lowbit::testing::NoTokenizer;
using lowbit::testing::SmallModel;
using lowbit::testing::TemporaryFolder;
using ::testing::HasSubstr;

const std::string kDown = "model.layers.1.mlp.down_proj";

RuntimeRecord shift_record() {
  const std::vector<std::int32_t> order = {3, 1, 2};
  return {"shift",
          ConfigNode::parse("{by: 0.5, name: '7'}", "x.yaml"),
          {{"shift_order", tensor_of(std::span<const std::int32_t>(order))},
           {"shift_matrix", make_full({2, 3}, 0.1, DType::kFloat32)},
           {"shift_codes", make_full({2}, -5, DType::kInt8)}}};
}

RuntimeRecord rounding_record(ActivationScheme::Per per) {
  ActivationScheme scheme;
  scheme.per = per;
  RuntimeRecord record{ActivationScheme::kRecordName, echo_fields(scheme), {}};
  if (per == ActivationScheme::Per::kTensor) record.tensors["input_scale"] = make_full({1}, 0.25, DType::kFloat32);
  return record;
}

class RuntimeRecords : public ::testing::Test {
 protected:
  RuntimeRecords() {
    std::filesystem::create_directory(folder_ / "base");
    base_ = std::make_shared<SmallModel>(folder_ / "base");
  }

  // Both blocks with all linears quantized, and the records around one of them.
  std::shared_ptr<const WeightSource> write(const std::vector<RuntimeRecord>& records,
                                            const std::optional<RuntimeRecord>& cache = std::nullopt) {
    ArtifactWriter writer(out(), base_, tokenizer_, "key");
    for (std::int64_t index = 0; index < 2; ++index) {
      BlockArtifact block;
      block.index = index;
      for (const char* slot : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
        const auto weight = base_->load("model.layers." + std::to_string(index) + "." + slot + ".weight", {});
        GridSpec grid;
        grid.group = -1;
        block.linears[slot] = quantize_to_nearest(weight, grid);
      }
      if (index == 1) block.executions["mlp.down_proj"] = records;
      writer.write_block(block);
    }
    read_back_ = writer.read_block(1);
    writer.finish("{}", {}, cache);
    return open_weights(out());
  }
  Json config() const { return parse_json(read_file(out() / "config.json"), "config")["quantization_config"]; }
  std::filesystem::path out() const { return folder_ / "artifact"; }

  TemporaryFolder folder_;
  std::shared_ptr<SmallModel> base_;
  NoTokenizer tokenizer_;
  BlockArtifact read_back_;
};

void expect_same(const RuntimeRecord& found, const RuntimeRecord& expected) {
  EXPECT_EQ(found.name, expected.name);
  EXPECT_EQ(found.settings, expected.settings);
  ASSERT_EQ(found.tensors.size(), expected.tensors.size());
  for (const auto& [name, tensor] : expected.tensors) {
    ASSERT_TRUE(found.tensors.contains(name)) << name;
    EXPECT_EQ(dtype_of(found.tensors.at(name)), dtype_of(tensor)) << name;
    EXPECT_TRUE(found.tensors.at(name).equal(tensor)) << name;
  }
}

TEST_F(RuntimeRecords, ComeBackWithSettingsAndTensorsInTheirOrder) {
  const std::vector<RuntimeRecord> records = {shift_record(), rounding_record(ActivationScheme::Per::kTensor)};
  const auto source = write(records);
  const std::vector<RuntimeRecord> found = source->executions(kDown);
  ASSERT_EQ(found.size(), 2U);
  ASSERT_EQ(read_back_.executions.at("mlp.down_proj").size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    expect_same(found[i], records[i]);
    expect_same(read_back_.executions.at("mlp.down_proj")[i], records[i]);
  }
  EXPECT_TRUE(source->executions("model.layers.0.mlp.down_proj").empty());
  for (const StoredTensor& tensor : source->tensors()) EXPECT_THAT(tensor.name, Not(HasSubstr("shift_")));
  EXPECT_FALSE(read_back_.tensors.contains(kDown + ".shift_matrix")) << "not a tensor of the model";
}

TEST_F(RuntimeRecords, KeepOtherProgramsFromLoadingHalfOfTheModel) {
  (void)write({shift_record()});
  EXPECT_EQ(config()["quant_method"], "lowbit");
  EXPECT_EQ(config()["version"], 2) << "so that earlier readers stop";
  std::filesystem::remove_all(out());
  (void)write({});
  EXPECT_EQ(config()["quant_method"], "compressed-tensors");
}

TEST_F(RuntimeRecords, OfRoundedInputsAreSaidInCompressedTensorsWords) {
  (void)write({rounding_record(ActivationScheme::Per::kTensor)});
  EXPECT_EQ(config()["quant_method"], "compressed-tensors");
  ASSERT_EQ(config()["config_groups"].size(), 2U);
  EXPECT_EQ(config()["config_groups"]["group_1"]["targets"], Json::array({kDown}));
  EXPECT_EQ(config()["config_groups"]["group_1"]["input_activations"]["strategy"], "tensor");
  EXPECT_EQ(config()["config_groups"]["group_1"]["input_activations"]["dynamic"], false);
}

TEST_F(RuntimeRecords, AreReadOutOfAFileThatLowbitDidNotWrite) {
  (void)write({rounding_record(ActivationScheme::Per::kTensor)});
  testing::forget_metadata(out());
  const auto source = open_weights(out());
  const std::vector<RuntimeRecord> found = source->executions(kDown);
  ASSERT_EQ(found.size(), 1U);
  ActivationScheme expected;
  expected.per = ActivationScheme::Per::kTensor;
  expected.symmetry = Symmetry::kSymOffset;  // the convention of that format
  EXPECT_EQ(activation_scheme_of(found.front()), expected);
  EXPECT_EQ(found.front().tensors.at("input_scale").item<float>(), 0.25F);
  for (const StoredTensor& tensor : source->tensors()) EXPECT_THAT(tensor.name, Not(HasSubstr("input_scale")));
}

TEST_F(RuntimeRecords, AreRefusedByAModelWithoutReaders) {
  const auto source = write({shift_record()});
  const auto model = Model::make(source, nullptr, {});
  EXPECT_EQ(
      testing::error_text(ErrorCode::kUnsupported, [&] { (void)model->block(1); }),
      out().string() + ": " + kDown + ": 'shift' runs around the product, and the model was opened without readers");
}

class CountingCache : public KvCachePolicy {
 public:
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor&, const at::Tensor&, double, bool) override {
    return q;
  }
  std::int64_t length() const override { return 0; }
  std::int64_t bytes() const override { return 77; }
};

TEST_F(RuntimeRecords, SayHowKeysAndValuesAreKept) {
  const RuntimeRecord record{"counting", ConfigNode::parse("{bits: 2}", "x.yaml"), {}};
  const auto source = write({}, record);
  EXPECT_EQ(config()["quant_method"], "lowbit");
  ASSERT_TRUE(source->kv_cache().has_value());
  expect_same(*source->kv_cache(), record);
  EXPECT_EQ(testing::error_text(ErrorCode::kUnsupported, [&] { (void)Model::make(source, nullptr, {}); }),
            out().string() + ": keys and values are kept by 'counting', and the model was opened without readers");
  RuntimeReaders readers;
  readers.kv_cache = [&](const RuntimeRecord& found) -> KvCacheMaker {
    expect_same(found, record);
    return [](const Architecture&, std::int64_t) { return std::make_unique<CountingCache>(); };
  };
  const auto model = Model::make(source, nullptr, {}, Model::Residency::kResident, readers);
  EXPECT_EQ(model->make_kv_cache(1)->bytes(), 77);
}

TEST(RuntimeRecord, RefusesNamesThatAreTaken) {
  const at::Tensor one = make_full({1}, 1, DType::kFloat32);
  for (const char* name : {"weight", "bias", "weight_scale", "a.b"}) {
    EXPECT_EQ(testing::error_text(ErrorCode::kInternal,
                                  [&] {
                                    (void)store_record_tensors({{"mine", {}, {{name, one}}}});
                                  }),
              "'mine' stores a tensor '" + std::string(name) + "', a name that is taken");
  }
  EXPECT_EQ(testing::error_text(ErrorCode::kInternal,
                                [&] {
                                  (void)store_record_tensors({{"mine", {}, {{"a", one}}}, {"yours", {}, {{"a", one}}}});
                                }),
            "'yours' stores a tensor 'a', a name that is taken");
}

TEST(RuntimeRecord, IsCheckedLikeAnyForeignData) {
  const FindPart none = [](std::string_view) { return nullptr; };
  const auto problem = [&](const Json& description) {
    return testing::error_text(ErrorCode::kData, [&] { (void)restore_records(description, none); });
  };
  EXPECT_EQ(problem(Json::object()), "records are {}, expected a list");
  EXPECT_EQ(problem(Json::array({3})), "a record is 3, expected an object");
  EXPECT_EQ(problem(Json::parse(R"([{"name": 3}])")), "'name' of a record is 3, expected a text");
  EXPECT_EQ(problem(Json::parse(R"([{"name": "x"}])")), "a record has no 'settings'");
  EXPECT_EQ(problem(Json::parse(R"([{"name": "x", "settings": ""}])")), "a record has no 'tensors'");
  EXPECT_EQ(problem(Json::parse(R"([{"name": "x", "settings": "", "tensors": ["a"]}])")),
            "tensor \"a\" of 'x' is missing");
  EXPECT_THAT(problem(Json::parse(R"([{"name": "x", "settings": "{", "tensors": []}])")), HasSubstr("settings of 'x'"));
  EXPECT_THAT(
      testing::error_text(ErrorCode::kData,
                          [] {
                            (void)activation_scheme_of({"activations", ConfigNode::parse("{bits: 99}", "file"), {}});
                          }),
      HasSubstr("settings of 'activations': file:1:8: 'bits'"));
}

}  // namespace
}  // namespace lowbit
