// The container, the architecture that its metadata tells, and the decoding of its blocks.
#include "lowbit/containers/gguf.h"

#include "fuzz/fuzz.h"
#include "fuzz/gguf_seeds.h"
#include "fuzz/touch.h"
#include "lowbit/formats/ggml_blocks.h"
#include "lowbit/model/architecture.h"

namespace lowbit::fuzzing {
namespace {

constexpr std::int64_t kMostDecoded = 4096;

template <typename Action>
void may_fail(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData && error.code() != ErrorCode::kUnsupported) throw;
  }
}

void read(std::string_view input) {
  const InputFile file(input);
  const auto opened = GgufFile::open(file.path());
  for (const std::string& key : opened->metadata_keys()) {
    if (opened->metadata(key) == nullptr) report("a key is not found under its name");
  }
  for (const TensorEntry& tensor : opened->tensors()) {
    touch(tensor);
    if (tensor.elements() > kMostDecoded) continue;
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    may_fail([&] { dequantize_blocks(tensor.type, tensor.data, values); });
  }
  const Architecture architecture = architecture_from_gguf(*opened);
  if (architecture.parameters() <= 0) report("an architecture without parameters");
}

std::string model() {
  const auto count = [](const char* key, std::int64_t value) { return GgufItem{key, GgufType::kU32, value}; };
  return gguf_bytes(
      {{"general.architecture", GgufType::kString, std::string("llama")},
       count("llama.embedding_length", 64),
       count("llama.feed_forward_length", 96),
       count("llama.block_count", 2),
       count("llama.attention.head_count", 4),
       count("llama.attention.head_count_kv", 2),
       count("llama.context_length", 128),
       {"llama.attention.layer_norm_rms_epsilon", GgufType::kF32, 1e-5},
       {"llama.rope.freq_base", GgufType::kF32, 1e4},
       {"llama.rope.scaling.type", GgufType::kString, std::string("yarn")},
       {"llama.rope.scaling.factor", GgufType::kF32, 2.0},
       count("tokenizer.ggml.eos_token_id", 1)},
      {{"token_embd.weight", StorageType::kQ8_0, {8, 64}}, {"rope_freqs.weight", StorageType::kF32, {8}}});
}

std::vector<std::string> seeds() {
  return {golden("containers/small.gguf"), golden("containers/values.gguf"), golden("formats/ggml_blocks.gguf"),
          model()};
}

}  // namespace

const Target& target() {
  static const Target result = {
      read,
      seeds,
      {"GGUF", "general.alignment", "llama.block_count", "token_embd.weight", std::string("\x08\0\0\0", 4),
       std::string("\x09\0\0\0\x08\0\0\0", 8), std::string("\x0A\0\0\0", 4)}};
  return result;
}

}  // namespace lowbit::fuzzing
