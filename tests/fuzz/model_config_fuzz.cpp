// config.json: the architecture, and how the weights were quantized.
#include "fuzz/fuzz.h"
#include "lowbit/base/json.h"
#include "lowbit/model/architecture.h"
#include "model/compressed_tensors.h"

namespace lowbit::fuzzing {
namespace {

void read_quantization(std::string_view input) {
  const Json json = parse_json(input, "config.json");
  if (!json.is_object() || !json.contains("quantization_config")) return;
  const CompressedTensorsConfig config(json["quantization_config"], "config.json");
  (void)config.scheme_of("model.layers.0.self_attn.q_proj");
}

void read(std::string_view input) {
  try {
    read_quantization(input);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData && error.code() != ErrorCode::kUnsupported) throw;
  }
  const Architecture architecture = architecture_from_config(input, "config.json");
  if (architecture.parameters() <= 0 || architecture.multiply_adds() <= 0) report("an architecture without parameters");
  if (architecture.head_dim <= 1024) {
    for (const std::int64_t length : {std::int64_t{1}, architecture.context}) {
      if (static_cast<std::int64_t>(rope_frequencies(architecture, length).inverse.size()) != architecture.head_dim / 2)
        report("too few rotary frequencies");
    }
  }
  const std::string written = config_json_of(architecture, "float32");
  if (config_json_of(architecture_from_config(written, "written"), "float32") != written)
    report("an architecture that was written is read differently");
}

std::vector<std::string> seeds() {
  std::vector<std::string> result;
  for (const char* model : {"biased-float16", "gqa-tied-sharded", "mha-untied-bfloat16", "rope-dynamic", "rope-linear",
                            "rope-llama3", "rope-longrope", "rope-yarn"}) {
    result.push_back(golden(fmt::format("model/{}/config.json", model)));
  }
  Json packed = parse_json(result.front(), "seed");
  packed["quantization_config"] = compressed_tensors_config(
      {{"model.layers.0.self_attn.q_proj", {4, true, 128}}, {"model.layers.0.mlp.down_proj", {8, false, -1}}},
      {"lm_head"});
  result.push_back(packed.dump());
  packed["quantization_config"]["config_groups"]["group_0"]["targets"] = {"re:.*q_proj", "Linear"};
  result.push_back(packed.dump());
  return result;
}

}  // namespace

const Target& target() {
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words = {"\"head_dim\":2,", "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2},", "\"eos_token_id\":[1,2],",
                "\"rope_theta\":1,", "\"short_factor\":[1],", "null", "\"targets\":[\"re:(a+)+$\"],",
                "\"factor\":1e308,", "\"original_max_position_embeddings\":1,"},
      .memory = std::size_t{4} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
