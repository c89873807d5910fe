#include "synthetic_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/containers/safetensors.h"

namespace lowbit::bench {
namespace {

// xorshift64*: the numbers need to be cheap, not good.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }

 private:
  std::uint64_t state_;
};

// float16 of a number of normal range whose lower bits are zero; rounding is not needed where any number will do.
std::uint16_t half_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000U;
  const auto exponent = static_cast<std::int32_t>(bits >> 23 & 0xFFU) - 112;
  if (exponent <= 0) return static_cast<std::uint16_t>(sign);
  return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(exponent) << 10 | (bits >> 13 & 0x3FFU));
}

std::size_t encode(float value, StorageType type, std::byte* out) {
  if (type == StorageType::kF32) {
    std::memcpy(out, &value, sizeof value);
    return sizeof value;
  }
  const auto bits = type == StorageType::kF16 ? half_bits(value)
                                              : static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
  std::memcpy(out, &bits, sizeof bits);
  return sizeof bits;
}

// Weights are drawn from so many values, encoded beforehand: sums of four uniform numbers, of variance `deviation`^2.
constexpr std::size_t kValues = 4096;

std::vector<std::byte> value_table(StorageType type, double deviation) {
  std::vector<std::byte> table(kValues * sizeof(float));
  Numbers numbers(17);
  std::size_t size = 0;
  for (std::size_t i = 0; i < kValues; ++i) {
    double sum = 0;
    for (int k = 0; k < 4; ++k) sum += static_cast<double>(numbers.next() >> 11) * 0x1p-53 - 0.5;
    size = encode(static_cast<float>(sum * deviation * std::sqrt(3.0)), type, table.data() + i * size);
  }
  table.resize(kValues * size);
  return table;
}

void write_random(SafetensorsWriter& writer, const TensorDeclaration& tensor, std::uint64_t seed) {
  constexpr std::int64_t kSlice = std::int64_t{1} << 20;
  const auto fan_in = static_cast<double>(tensor.shape.back());
  const bool norm = tensor.shape.size() == 1;
  const std::vector<std::byte> table = value_table(tensor.type, norm ? 0.1 : 1.0 / std::sqrt(fan_in));
  const std::size_t size = table.size() / kValues;
  const std::int64_t elements = tensor.shape.size() == 1 ? tensor.shape[0] : tensor.shape[0] * tensor.shape[1];
  Numbers numbers(seed);
  std::vector<std::byte> slice(static_cast<std::size_t>(kSlice) * size);
  for (std::int64_t begin = 0; begin < elements; begin += kSlice) {
    const auto count = static_cast<std::size_t>(std::min(kSlice, elements - begin));
    for (std::size_t i = 0; i < count; i += 4) {
      std::uint64_t bits = numbers.next() >> 16;
      for (std::size_t k = i; k < std::min(count, i + 4); ++k, bits >>= 12) {
        std::memcpy(slice.data() + k * size, table.data() + (bits % kValues) * size, size);
      }
    }
    if (norm) {
      for (std::size_t i = 0; i < count; ++i) encode(1.0F, tensor.type, slice.data() + i * size);
    }
    writer.write(slice.data(), count * size);
  }
}

std::vector<TensorDeclaration> declare(const SyntheticShape& s) {
  std::vector<TensorDeclaration> tensors;
  const auto add = [&](std::string name, std::vector<std::int64_t> shape) {
    tensors.push_back({std::move(name), s.type, std::move(shape)});
  };
  const std::int64_t kv = s.hidden / s.heads * s.kv_heads;
  add("model.embed_tokens.weight", {s.vocabulary, s.hidden});
  for (std::int64_t layer = 0; layer < s.layers; ++layer) {
    const std::string block = fmt::format("model.layers.{}.", layer);
    add(block + "input_layernorm.weight", {s.hidden});
    add(block + "self_attn.q_proj.weight", {s.hidden, s.hidden});
    add(block + "self_attn.k_proj.weight", {kv, s.hidden});
    add(block + "self_attn.v_proj.weight", {kv, s.hidden});
    add(block + "self_attn.o_proj.weight", {s.hidden, s.hidden});
    add(block + "post_attention_layernorm.weight", {s.hidden});
    add(block + "mlp.gate_proj.weight", {s.intermediate, s.hidden});
    add(block + "mlp.up_proj.weight", {s.intermediate, s.hidden});
    add(block + "mlp.down_proj.weight", {s.hidden, s.intermediate});
  }
  add("model.norm.weight", {s.hidden});
  if (!s.tied) add("lm_head.weight", {s.vocabulary, s.hidden});
  return tensors;
}

Json config_of(const SyntheticShape& s) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"hidden_size", s.hidden},
          {"intermediate_size", s.intermediate},
          {"num_hidden_layers", s.layers},
          {"num_attention_heads", s.heads},
          {"num_key_value_heads", s.kv_heads},
          {"vocab_size", s.vocabulary},
          {"max_position_embeddings", s.context},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", s.tied},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

std::string utf8(std::uint32_t code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0U | code >> 6), static_cast<char>(0x80U | (code & 0x3FU))};
}

// GPT-2 writes a byte that is not printable as the next free character from U+0100 on.
Json byte_tokenizer() {
  Json vocabulary = Json::object();
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    vocabulary[utf8(plain ? byte : next)] = byte;
    if (!plain) ++next;
  }
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
}

}  // namespace

void write_synthetic_model(const std::filesystem::path& folder, const SyntheticShape& shape) {
  if (shape.hidden % shape.heads != 0 || shape.heads % shape.kv_heads != 0 || shape.vocabulary < 256) {
    fail(ErrorCode::kConfig,
         "{} heads do not divide a width of {}, {} key-value heads not the heads, or a vocabulary of {} is below 256",
         shape.heads, shape.hidden, shape.kv_heads, shape.vocabulary);
  }
  make_folders(folder);
  write_file_atomically(folder / "config.json", config_of(shape).dump(1) + "\n");
  write_file_atomically(folder / "tokenizer.json", byte_tokenizer().dump() + "\n");
  const std::vector<TensorDeclaration> tensors = declare(shape);
  SafetensorsWriter writer(folder / "model.safetensors", tensors);
  for (const std::size_t index : writer.order()) write_random(writer, tensors[index], index + 1);
  writer.finish();
}

void write_synthetic_text(const std::filesystem::path& file, std::int64_t bytes) {
  Numbers numbers(5);
  std::string text;
  while (static_cast<std::int64_t>(text.size()) < bytes) {
    const std::uint64_t words = 30 + numbers.next() % 60;
    for (std::uint64_t word = 0; word < words; ++word) {
      const std::uint64_t letters = 2 + numbers.next() % 8;
      for (std::uint64_t i = 0; i < letters; ++i) text += static_cast<char>('a' + numbers.next() % 26);
      text += word + 1 < words ? ' ' : '.';
    }
    text += "\n\n";
  }
  write_file_atomically(file, text);
}

}  // namespace lowbit::bench
