#include "lowbit/model/weight_source.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <map>

#include "lowbit/base/error.h"
#include "lowbit/containers/safetensors.h"
#include "model/expected_tensors.h"
#include "model_cases.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

const char* const kConfig =
    R"({"model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
  "num_attention_heads": 2, "vocab_size": 6, "tie_word_embeddings": true, "eos_token_id": 2})";

using Tensors = std::map<std::string, SafetensorsWriter::Declaration>;

Tensors whole_model() {
  Tensors tensors;
  for (const ExpectedTensor& expected : expected_tensors(architecture_from_config(kConfig, "config"))) {
    if (!expected.optional) tensors[expected.name] = {expected.name, StorageType::kF32, expected.shape};
  }
  return tensors;
}

// A folder with these tensors; element i of each is i / 8.
void write_model(const std::filesystem::path& folder, const Tensors& tensors, const std::string& config = kConfig) {
  write_file_atomically(folder / "config.json", config);
  std::vector<SafetensorsWriter::Declaration> list;
  for (const auto& [name, declaration] : tensors) list.push_back(declaration);
  SafetensorsWriter writer(folder / "model.safetensors", list);
  for (const std::size_t i : writer.order()) {
    std::int64_t count = 1;
    for (const std::int64_t size : list[i].shape) count *= size;
    const std::int64_t bytes = count * block_size(list[i].type).bytes;
    std::vector<float> values(static_cast<std::size_t>((bytes + 3) / 4));
    for (std::size_t j = 0; j < values.size(); ++j) values[j] = static_cast<float>(j) / 8.0F;
    writer.write(values.data(), static_cast<std::size_t>(bytes));
  }
  writer.finish();
}

std::string error_of(const std::function<void(Tensors&)>& change) {
  const TemporaryFolder folder;
  Tensors tensors = whole_model();
  change(tensors);
  write_model(folder.path(), tensors);
  try {
    (void)open_weights(folder.path());
  } catch (const Error& error) {
    const std::string text = error.what();
    const std::string origin = folder.path().string() + ": ";
    return text.starts_with(origin) ? text.substr(origin.size()) : text;
  }
  return "no error";
}

TEST(SafetensorsSource, NamesTheTensorThatIsWrong) {
  EXPECT_EQ(error_of([](Tensors&) {}), "no error");
  EXPECT_EQ(error_of([](Tensors& t) { t.erase("model.layers.0.mlp.up_proj.weight"); }),
            "tensor 'model.layers.0.mlp.up_proj.weight' of shape [12, 8] is missing");
  EXPECT_EQ(error_of([](Tensors& t) { t["model.norm.weight"].shape = {9}; }),
            "tensor 'model.norm.weight' has shape [9], expected [8]");
  EXPECT_EQ(error_of([](Tensors& t) { t["model.norm.weight"].type = StorageType::kI32; }),
            "tensor 'model.norm.weight' is stored as I32, which is not supported as a weight");
  EXPECT_EQ(error_of([](Tensors& t) {
              t["model.extra"] = {"model.extra", StorageType::kF32, {2}};
            }),
            "tensor 'model.extra' has no place in this 'llama' architecture (1 such tensors)");
  EXPECT_EQ(error_of([](Tensors& t) {
              t["norm.weight"] = {"norm.weight", StorageType::kF32, {8}};
            }),
            "tensor 'model.norm.weight' is there twice");
}

TEST(SafetensorsSource, ToleratesOldNamesFrequenciesAndATiedHead) {
  const TemporaryFolder folder;
  Tensors tensors;
  for (auto [name, declaration] : whole_model()) {
    declaration.name = name.substr(std::string("model.").size());
    tensors[declaration.name] = declaration;
  }
  const std::string frequencies = "layers.0.self_attn.rotary_emb.inv_freq";
  tensors[frequencies] = {frequencies, StorageType::kF32, {2}};
  tensors["lm_head.weight"] = {"lm_head.weight", StorageType::kF32, {6, 8}};
  write_model(folder.path(), tensors);
  const auto weights = open_weights(folder.path());
  EXPECT_EQ(weights->format(), "safetensors");
  const at::Tensor norm = weights->load("model.norm.weight", {8});
  EXPECT_EQ(norm[3].item<float>(), 0.375F);
  EXPECT_FALSE(weights->load_quantized("model.layers.0.mlp.up_proj").has_value());
  EXPECT_THROW((void)weights->load("model.norm.weight", {9}), Error);
  EXPECT_THROW((void)weights->load("model.absent", {9}), Error);
}

TEST(SafetensorsSource, TakesEndTokensFromGenerationConfig) {
  const TemporaryFolder folder;
  write_model(folder.path(), whole_model());
  write_file_atomically(folder / "generation_config.json", R"({"eos_token_id": [3, 4]})");
  EXPECT_EQ(open_weights(folder.path())->architecture().eos, (std::vector<std::int64_t>{3, 4}));
  write_file_atomically(folder / "generation_config.json", R"({"eos_token_id": [3, 400]})");
  EXPECT_THROW((void)open_weights(folder.path()), Error);
}

TEST(SafetensorsSource, ClaimsOfHugeSizesFailBeforeAnythingIsRead) {
  const TemporaryFolder folder;
  std::string config = kConfig;
  config.replace(config.find("\"hidden_size\": 8"), 16, "\"hidden_size\": 1000000");
  write_model(folder.path(), whole_model(), config);
  EXPECT_THROW((void)open_weights(folder.path()), Error);
}

TEST(Fingerprint, ChangesWithAWeightAndIsRememberedForTheFile) {
  const TemporaryFolder cache;
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  const TemporaryFolder first;
  const TemporaryFolder second;
  write_model(first.path(), whole_model());
  Tensors changed = whole_model();
  changed["model.norm.weight"].type = StorageType::kF16;
  write_model(second.path(), changed);
  const Hash hash = open_weights(first.path())->fingerprint();
  EXPECT_NE(hash, open_weights(second.path())->fingerprint());
  EXPECT_EQ(hash, open_weights(first.path())->fingerprint());
  const auto entries = std::filesystem::directory_iterator(cache / "lowbit/fingerprints");
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 2);
  // A cache that is damaged is done without.
  for (const auto& entry : std::filesystem::directory_iterator(cache / "lowbit/fingerprints")) {
    std::filesystem::resize_file(entry.path(), 10);
  }
  EXPECT_EQ(hash, open_weights(first.path())->fingerprint());
  if (before == nullptr) {
    ::unsetenv("XDG_CACHE_HOME");
  } else {
    ::setenv("XDG_CACHE_HOME", kept.c_str(), 1);
  }
}

TEST(OpenWeights, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  const auto message = [](const std::filesystem::path& path) -> std::string {
    try {
      (void)open_weights(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(folder.path()),
            folder.path().string() + ": the folder has no config.json, expected a model in Hugging Face's layout");
  EXPECT_EQ(message(folder / "absent"), (folder / "absent").string() + ": there is no such model file or folder");
}

}  // namespace
}  // namespace lowbit
