#include "model/artifact_tokenizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <string>
#include <string_view>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/containers/gguf.h"
#include "text/gguf_pre_tokenizers.h"

namespace lowbit {
namespace {

constexpr std::array<const char*, 10> kTokenizerFiles = {
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json",     "merges.txt",      "chat_template.jinja",   "chat_template.json",      "generation_config.json"};

// Token types of GGUF and sentencepiece.
constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kUserDefined = 4;
constexpr std::int64_t kByte = 6;

std::int64_t type_of(const GgufFile& file, TokenId id) {
  if (file.metadata("tokenizer.ggml.token_type") == nullptr) return kNormal;
  const auto& types = file.integers("tokenizer.ggml.token_type");
  const auto index = static_cast<std::size_t>(id);
  return index < types.size() && types[index] != 0 ? types[index] : kNormal;
}

Json added_tokens(const Tokenizer& tokenizer, const GgufFile& file) {
  Json added = Json::array();
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    const bool special = tokenizer.is_special(id);
    if (!special && type_of(file, id) != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokenizer.piece(id)},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  return added;
}

// Tens of thousands of entries go straight into text, and most as they are: the JSON library would search an ordered
// object at each insertion, and write byte by byte.
void append_json(std::string& out, std::string_view utf8) {
  const bool escaped =
      std::ranges::any_of(utf8, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '"' || c == '\\'; });
  if (escaped) {
    out += Json(utf8).dump();
  } else {
    out.append(1, '"').append(utf8).append(1, '"');
  }
}

std::string vocabulary_text(const Tokenizer& tokenizer) {
  std::string text;
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    text += id == 0 ? '{' : ',';
    append_json(text, tokenizer.piece(id));
    fmt::format_to(std::back_inserter(text), ":{}", id);
  }
  return text + "}";
}

// They name pieces of the vocabulary, or the tokenizer would not have been made.
std::string merges_text(const GgufFile& file) {
  std::string text = "[";
  for (const std::string& merge : file.strings("tokenizer.ggml.merges")) {
    if (text.size() > 1) text += ',';
    append_json(text, merge);
  }
  return text + "]";
}

Json pre_tokenizer(const GgufPreTokenizer& rule) {
  Json steps = Json::array();
  for (const std::string_view pattern : rule.patterns) {
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json post_processor(const Tokenizer& tokenizer) {
  if (!tokenizer.adds_bos()) {
    return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}, {"use_regex", true}};
  }
  const std::string bos = tokenizer.piece(*tokenizer.bos());
  const auto special = [&](int type) { return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}}; };
  const auto sequence = [](const char* id, int type) { return Json{{"Sequence", {{"id", id}, {"type_id", type}}}}; };
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special(0), sequence("A", 0)})},
          {"pair", Json::array({special(0), sequence("A", 0), special(1), sequence("B", 1)})},
          {"special_tokens",
           {{bos, {{"id", bos}, {"ids", Json::array({*tokenizer.bos()})}, {"tokens", Json::array({bos})}}}}}};
}

void write_byte_level(const Tokenizer& tokenizer, const GgufFile& file, const std::filesystem::path& folder) {
  const std::string pre =
      file.metadata("tokenizer.ggml.pre") != nullptr ? file.string("tokenizer.ggml.pre") : "default";
  const GgufPreTokenizer& rule = find_gguf_pre_tokenizer(pre, file.path().string());
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  const Json head = {{"version", "1.0"},
                     {"truncation", Json()},
                     {"padding", Json()},
                     {"added_tokens", added_tokens(tokenizer, file)},
                     {"normalizer", Json()},
                     {"pre_tokenizer", pre_tokenizer(rule)},
                     {"post_processor", post_processor(tokenizer)},
                     {"decoder", byte_level}};
  const Json model = {{"type", "BPE"},
                      {"dropout", Json()},
                      {"unk_token", Json()},
                      {"continuing_subword_prefix", Json()},
                      {"end_of_word_suffix", Json()},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", rule.ignore_merges}};
  std::string text = head.dump();
  text.back() = ',';
  text += "\"model\":" + model.dump();
  text.back() = ',';
  text += "\"vocab\":" + vocabulary_text(tokenizer) + ",\"merges\":" + merges_text(file) + "}}\n";
  write_file_atomically(folder / "tokenizer.json", text);
}

// The wire format of protocol buffers, as far as sentencepiece's model file needs it.
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(static_cast<char>(value | 128));
  out.push_back(static_cast<char>(value));
}
void put_number(std::string& out, int field, std::int64_t value) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3);
  put_varint(out, static_cast<std::uint64_t>(value));
}
void put_text(std::string& out, int field, std::string_view text) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 2);
  put_varint(out, text.size());
  out += text;
}
void put_float(std::string& out, int field, float value) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 5);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(bits >> shift));
}

std::string trainer_spec(const Tokenizer& tokenizer, const GgufFile& file, bool byte_fallback) {
  std::string spec;
  put_number(spec, 3, 2);  // model_type BPE
  put_number(spec, 4, tokenizer.size());
  put_number(spec, 35, byte_fallback ? 1 : 0);
  const auto special = [&](int id_field, int piece_field, std::int64_t id) {
    put_number(spec, id_field, id);
    if (id >= 0 && id < tokenizer.size()) put_text(spec, piece_field, tokenizer.piece(static_cast<TokenId>(id)));
  };
  special(40, 45, file.integer("tokenizer.ggml.unknown_token_id", 0));
  special(41, 46, tokenizer.bos().value_or(-1));
  special(42, 47, tokenizer.eos().value_or(-1));
  special(43, 48, file.integer("tokenizer.ggml.padding_token_id", -1));
  return spec;
}

void write_sentencepiece(const Tokenizer& tokenizer, const GgufFile& file, const std::filesystem::path& folder) {
  const auto& scores = file.reals("tokenizer.ggml.scores");
  std::string model;
  bool byte_fallback = false;
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    std::string piece;
    put_text(piece, 1, tokenizer.piece(id));
    put_float(piece, 2, static_cast<float>(scores.at(static_cast<std::size_t>(id))));
    put_number(piece, 3, type_of(file, id));
    byte_fallback = byte_fallback || type_of(file, id) == kByte;
    put_text(model, 1, piece);
  }
  std::string normalizer;
  put_text(normalizer, 1, "identity");
  put_number(normalizer, 3, file.boolean("tokenizer.ggml.add_space_prefix", true) ? 1 : 0);
  put_number(normalizer, 4, 0);  // white space is kept
  put_number(normalizer, 5, 1);  // and written as U+2581
  put_text(model, 2, trainer_spec(tokenizer, file, byte_fallback));
  put_text(model, 3, normalizer);
  write_file_atomically(folder / "tokenizer.model", model);
}

void write_tokenizer_config(const Tokenizer& tokenizer, const GgufFile& file, bool sentencepiece,
                            const std::filesystem::path& folder) {
  Json config = {{"tokenizer_class", sentencepiece ? "LlamaTokenizer" : "PreTrainedTokenizerFast"},
                 {"add_bos_token", tokenizer.adds_bos()},
                 {"add_eos_token", file.boolean("tokenizer.ggml.add_eos_token", false)},
                 {"clean_up_tokenization_spaces", false}};
  if (tokenizer.bos()) config["bos_token"] = tokenizer.piece(*tokenizer.bos());
  if (tokenizer.eos()) config["eos_token"] = tokenizer.piece(*tokenizer.eos());
  if (sentencepiece) {
    const auto unknown = file.integer("tokenizer.ggml.unknown_token_id", 0);
    if (unknown >= 0 && unknown < tokenizer.size())
      config["unk_token"] = tokenizer.piece(static_cast<TokenId>(unknown));
    config["legacy"] = true;
  }
  if (file.metadata("tokenizer.chat_template") != nullptr)
    config["chat_template"] = file.string("tokenizer.chat_template");
  write_file_atomically(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace

void save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& base,
                    const std::filesystem::path& folder) {
  if (std::filesystem::is_directory(base)) {
    for (const char* name : kTokenizerFiles) {
      if (!std::filesystem::is_regular_file(base / name)) continue;
      write_file_atomically(folder / name, read_file(base / name));
    }
    return;
  }
  const auto file = GgufFile::open(base);
  const std::string model = file->string("tokenizer.ggml.model");
  if (model != "gpt2" && model != "llama") {
    fail(ErrorCode::kUnsupported,
         "{}: a vocabulary of kind '{}' cannot be written for Hugging Face, only 'gpt2' and 'llama'", base.string(),
         model);
  }
  const bool sentencepiece = model == "llama";
  if (sentencepiece) {
    write_sentencepiece(tokenizer, *file, folder);
  } else {
    write_byte_level(tokenizer, *file, folder);
  }
  write_tokenizer_config(tokenizer, *file, sentencepiece, folder);
}

}  // namespace lowbit
