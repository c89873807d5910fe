#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "lowbit/base/error.h"
#include "lowbit/containers/gguf_writer.h"
#include "lowbit/model/artifact.h"
#include "model/rope_recovery.h"
#include "model/small_model.h"
#include "model_cases.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

std::string stored_name(std::string name) {
  const std::pair<std::string, std::string> names[] = {{"model.embed_tokens", "token_embd"},
                                                       {"model.norm", "output_norm"},
                                                       {"lm_head", "output"},
                                                       {"model.layers.", "blk."},
                                                       {"input_layernorm", "attn_norm"},
                                                       {"self_attn.q_proj", "attn_q"},
                                                       {"self_attn.k_proj", "attn_k"},
                                                       {"self_attn.v_proj", "attn_v"},
                                                       {"self_attn.o_proj", "attn_output"},
                                                       {"post_attention_layernorm", "ffn_norm"},
                                                       {"mlp.gate_proj", "ffn_gate"},
                                                       {"mlp.up_proj", "ffn_up"},
                                                       {"mlp.down_proj", "ffn_down"}};
  for (const auto& [canonical, stored] : names) {
    if (const std::size_t at = name.find(canonical); at != std::string::npos)
      name.replace(at, canonical.size(), stored);
  }
  return name;
}

// Half-split rows to interleaved ones, one row at a time: half c, pair i goes to row 2 i + c of its head.
at::Tensor interleave(const at::Tensor& weight, std::int64_t head_dim) {
  at::Tensor out = weight.clone();
  for (std::int64_t row = 0; row < weight.size(0); ++row) {
    const std::int64_t within = row % head_dim;
    const std::int64_t target = row - within + 2 * (within % (head_dim / 2)) + within / (head_dim / 2);
    out.select(0, target).copy_(weight.select(0, row));
  }
  return out;
}

std::vector<GgufItem> metadata_of(const Architecture& a) {
  return {{"general.architecture", GgufType::kString, std::string("llama")},
          {"llama.embedding_length", GgufType::kU32, a.hidden},
          {"llama.feed_forward_length", GgufType::kU32, a.intermediate},
          {"llama.block_count", GgufType::kU32, a.layers},
          {"llama.attention.head_count", GgufType::kU32, a.heads},
          {"llama.attention.head_count_kv", GgufType::kU32, a.kv_heads},
          {"llama.attention.key_length", GgufType::kU32, a.head_dim},
          {"llama.context_length", GgufType::kU32, a.context},
          {"llama.attention.layer_norm_rms_epsilon", GgufType::kF32, a.norm_eps},
          {"llama.rope.freq_base", GgufType::kF32, a.rope_theta},
          {"tokenizer.ggml.eos_token_id", GgufType::kU32, std::int64_t{2}}};
}

struct Change {
  std::function<void(std::vector<GgufItem>&)> metadata = [](auto&) {};
  std::function<void(std::string&, at::Tensor&)> tensor = [](auto&, auto&) {};
  std::vector<float> divisors = {};
};

// A model of the golden folders as a GGUF file of float32 tensors.
void write_gguf(const std::filesystem::path& path, const WeightSource& source, const Change& change) {
  std::vector<TensorDeclaration> declarations;
  std::vector<at::Tensor> values;
  const auto add = [&](std::string name, at::Tensor value) {
    change.tensor(name, value);
    declarations.push_back({name, StorageType::kF32, shape_of(value)});
    values.push_back(value.contiguous());
  };
  for (const StoredTensor& tensor : source.tensors()) {
    const at::Tensor value = source.load(tensor.name, tensor.shape);
    const bool turned =
        tensor.name.find("q_proj") != std::string::npos || tensor.name.find("k_proj") != std::string::npos;
    add(stored_name(tensor.name), turned ? interleave(value, source.architecture().head_dim) : value);
  }
  if (!change.divisors.empty()) add("rope_freqs.weight", tensor_of(std::span<const float>(change.divisors)));
  std::vector<GgufItem> metadata = metadata_of(source.architecture());
  change.metadata(metadata);
  GgufWriter writer(path, metadata, declarations);
  for (const at::Tensor& value : values) writer.write(bytes_of(value).data(), bytes_of(value).size());
  writer.finish();
}

std::string error_of(const Change& change) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "model.gguf";
  write_gguf(path, *open_weights(golden_model("gqa-tied-sharded")), change);
  try {
    (void)open_weights(path);
  } catch (const Error& error) {
    const std::string text = error.what();
    const std::string origin = path.string() + ": ";
    return text.starts_with(origin) ? text.substr(origin.size()) : text;
  }
  return "no error";
}

TEST(GgufSource, GivesTheTensorsOfTheFolderItWasMadeFrom) {
  for (const char* name : {"gqa-tied-sharded", "mha-untied-bfloat16", "biased-float16"}) {
    const TemporaryFolder folder;
    const auto original = open_weights(golden_model(name));
    write_gguf(folder / "model.gguf", *original, {});
    const auto weights = open_weights(folder / "model.gguf");
    for (const StoredTensor& tensor : original->tensors()) {
      const at::Tensor expected = original->load(tensor.name, tensor.shape);
      EXPECT_TRUE(weights->load(tensor.name, tensor.shape).equal(expected)) << tensor.name;
      for (const WeightSource* source : {weights.get(), original.get()}) {
        const std::int64_t first = tensor.shape[0] / 2;
        const auto rows = source->load_rows(tensor.name, tensor.shape, first, tensor.shape[0] - first);
        EXPECT_TRUE(!rows || rows->equal(expected.narrow(0, first, tensor.shape[0] - first))) << tensor.name;
        EXPECT_TRUE(rows.has_value() || tensor.name.find("k_proj") != std::string::npos) << tensor.name;
      }
    }
    EXPECT_EQ(weights->architecture().tied_head, original->architecture().tied_head);
    EXPECT_EQ(weights->architecture().attention_bias, original->architecture().attention_bias);
    EXPECT_TRUE(weights->remarks().empty());
  }
}

// Divisors as those who convert Llama 3 write them: the published formula, in float32 throughout.
std::vector<float> llama3_divisors(const Architecture& a, float factor, float low, float high, float original) {
  std::vector<float> divisors;
  for (std::int64_t i = 0; i < a.head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(a.head_dim);
    const float frequency = 1.0F / std::pow(static_cast<float>(a.rope_theta), exponent);
    const float wavelength = 2.0F * std::numbers::pi_v<float> / frequency;
    const float smooth = (original / wavelength - low) / (high - low);
    const float between = 1.0F / ((1.0F - smooth) / factor + smooth);
    divisors.push_back(wavelength < original / high ? 1.0F : wavelength > original / low ? factor : between);
  }
  return divisors;
}

Architecture model_with(std::int64_t head_dim, std::int64_t context, double theta) {
  Architecture a;
  a.family = "llama";
  a.head_dim = head_dim;
  a.context = context;
  a.rope_theta = theta;
  return a;
}

std::optional<RopeScaling> recovered(Architecture a, const std::vector<float>& divisors, std::int64_t hint = 0) {
  a.rope_scaling.original_context = hint;
  return llama3_scaling_of({divisors.begin(), divisors.end()}, a);
}

TEST(RopeRecovery, FindsTheParametersOfEveryPublishedLlama3) {
  for (const std::int64_t dim : {64, 128}) {
    for (const float factor : {8.0F, 32.0F}) {
      const Architecture a = model_with(dim, 131072, 500000.0);
      const auto found = recovered(a, llama3_divisors(a, factor, 1.0F, 4.0F, 8192.0F));
      ASSERT_TRUE(found.has_value()) << dim << " " << factor;
      EXPECT_EQ(found->kind, RopeScalingKind::kLlama3);
      EXPECT_EQ(found->factor, factor);
      EXPECT_EQ(found->low_freq_factor, 1.0);
      EXPECT_EQ(found->high_freq_factor, 4.0);
      EXPECT_EQ(found->original_context, 8192);
    }
  }
}

TEST(RopeRecovery, FindsOtherParametersByTheirRatios) {
  Architecture a = model_with(64, 65536, 250000.0);
  const auto found = recovered(a, llama3_divisors(a, 16.0F, 2.0F, 10.0F, 8192.0F));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->factor, 16.0);
  EXPECT_EQ(found->original_context, 4096);  // 8192 / 2, since the low factor is taken as 1
  EXPECT_EQ(found->high_freq_factor, 5.0);
  // Heads of eight dimensions leave one divisor between 1 and the factor; then the file's own word decides.
  a.head_dim = 8;
  const std::vector<float> few = llama3_divisors(a, 8.0F, 1.0F, 4.0F, 1000.0F);
  EXPECT_FALSE(recovered(a, few).has_value());
  EXPECT_TRUE(recovered(a, few, 1000).has_value());
}

TEST(RopeRecovery, KeepsItsHandsOffOtherDivisors) {
  const Architecture a = model_with(64, 131072, 500000.0);
  const std::vector<float> exact = llama3_divisors(a, 8.0F, 1.0F, 4.0F, 8192.0F);
  for (const std::size_t place : {std::size_t{0}, std::size_t{16}, std::size_t{31}}) {
    std::vector<float> changed = exact;
    changed[place] *= 1.0001F;
    EXPECT_FALSE(recovered(a, changed).has_value()) << place;
  }
  EXPECT_FALSE(recovered(a, std::vector<float>(32, 1.0F)).has_value());
}

TEST(GgufSource, ReadsTheDivisorsOfLlama3) {
  const TemporaryFolder folder;
  const auto original = open_weights(golden_model("rope-llama3"));
  const std::vector<float> divisors = llama3_divisors(original->architecture(), 8.0F, 1.0F, 4.0F, 64.0F);
  write_gguf(folder / "model.gguf", *original, {.divisors = divisors});
  const auto weights = open_weights(folder / "model.gguf");
  EXPECT_EQ(weights->architecture().rope_scaling, original->architecture().rope_scaling);
  const at::Tensor ids = ids_tensor({{1, 5, 9, 2, 17, 23, 4, 4, 11, 0, 19, 8}});
  EXPECT_TRUE(
      logits_of(*Model::make(weights, nullptr, {}), ids).equal(logits_of(*Model::make(original, nullptr, {}), ids)));
}

TEST(GgufSource, KeepsDivisorsOfAnotherOriginInItsArtifact) {
  const TemporaryFolder folder;
  const auto original = open_weights(golden_model("gqa-tied-sharded"));
  const Change tokenizer{.metadata =
                             [](std::vector<GgufItem>& items) {
                               items.push_back({"tokenizer.ggml.model", GgufType::kString, std::string("llama")});
                               items.push_back({"tokenizer.ggml.scores", GgufType::kF32, std::vector<double>{}});
                             },
                         .divisors = {1, 1, 4, 8}};
  write_gguf(folder / "model.gguf", *original, tokenizer);
  const auto weights = open_weights(folder / "model.gguf");
  const auto inverse = rope_frequencies(weights->architecture(), 10).inverse;
  EXPECT_DOUBLE_EQ(inverse[2], rope_frequencies(original->architecture(), 10).inverse[2] / 4);

  const NoTokenizer none;
  ArtifactWriter writer(folder / "artifact", weights, none, "key");
  BlockArtifact unsolved;
  for (unsolved.index = 0; unsolved.index < 2; ++unsolved.index) writer.write_block(unsolved);
  writer.finish("{}");
  const auto stored = open_weights(folder / "artifact");
  EXPECT_EQ(stored->architecture(), weights->architecture());
  EXPECT_EQ(stored->format(), "lowbit's own layout");
  const at::Tensor ids = ids_tensor({{1, 5, 9, 2, 17, 23}});
  EXPECT_TRUE(
      logits_of(*Model::make(stored, nullptr, {}), ids).equal(logits_of(*Model::make(weights, nullptr, {}), ids)));
  const Json config = read_json(folder / "artifact" / "config.json");
  EXPECT_EQ(config["model_type"], "lowbit");
  EXPECT_EQ(config["base_config"]["rope_parameters"],
            (Json{{"rope_theta", 10000.0}, {"rope_type", "divisors"}, {"divisors", {1.0, 1.0, 4.0, 8.0}}}));
  EXPECT_EQ(read_json(folder / "artifact" / "lowbit.json")["layout_reason"], "rotary divisors of every dimension");
}

TEST(GgufSource, NamesWhatIsWrong) {
  EXPECT_EQ(error_of({}), "no error");
  const auto set = [](const char* key, auto value) {
    return Change{.metadata = [=](std::vector<GgufItem>& items) {
      for (GgufItem& item : items) {
        if (item.key == key) item.value = value;
      }
    }};
  };
  EXPECT_EQ(error_of(set("general.architecture", std::string("mamba"))),
            "architecture 'mamba' is not supported, expected llama");
  EXPECT_EQ(error_of(set("llama.attention.head_count", std::int64_t{0})),
            "'llama.attention.head_count' is 0, expected at least 1");
  EXPECT_EQ(error_of(set("llama.block_count", std::int64_t{4'000'000'000})),
            "'num_hidden_layers' is 4000000000, expected 1 to 4096");
  EXPECT_EQ(error_of(set("llama.block_count", std::int64_t{3})),
            "tensor 'model.layers.2.input_layernorm.weight' of shape [16] is missing");
  EXPECT_EQ(error_of(set("llama.attention.layer_norm_rms_epsilon", std::numeric_limits<double>::quiet_NaN())),
            "'rms_norm_eps' is nan, expected a positive number");
  EXPECT_EQ(error_of({.divisors = {1, 2}}), "tensor 'rope_freqs.weight' has 2 numbers, expected head_dim / 2 = 4");
  EXPECT_EQ(error_of({.divisors = {1, 2, 0, 3}}), "'rope_freqs.weight' is 0, expected a positive number");
  EXPECT_EQ(error_of({.tensor =
                          [](std::string& name, at::Tensor&) {
                            if (name == "output_norm.weight") name = "blk.x";
                          }}),
            "tensor 'model.norm.weight' of shape [16] is missing");
}

}  // namespace
}  // namespace lowbit
