#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"

namespace lowbit LOWBIT_EXPORT {

class ChatTemplate;
class GgufFile;

using TokenId = std::int32_t;

struct EncodeOptions {
  /// Add what the model's own tokenizer adds around a text (BOS, for most Llamas).
  bool add_special = true;
  /// Read special tokens such as "<|im_end|>" written in the text as those tokens; else they are plain characters.
  bool parse_special = true;
};

/// Text to token ids and back, token for token equal to the reference implementation of the tokenizer's format
/// (sentencepiece, Hugging Face `tokenizers`, or llama.cpp for a GGUF). Immutable; safe from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Throws `kData` naming the byte position of ill-formed UTF-8.
  [[nodiscard]] virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  /// Ill-formed bytes become U+FFFD. Throws `kData` for an id outside the vocabulary.
  [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;

  /// Ids are 0..size()-1. A model's embedding may have more rows (padding).
  [[nodiscard]] virtual std::int64_t size() const = 0;
  [[nodiscard]] virtual std::optional<TokenId> bos() const = 0;
  [[nodiscard]] virtual std::optional<TokenId> eos() const = 0;
  /// Whether `add_special` puts BOS in front.
  [[nodiscard]] virtual bool adds_bos() const = 0;
  [[nodiscard]] virtual bool is_special(TokenId id) const = 0;
  /// The token as the vocabulary spells it ("Ġthe", "▁the", "<0x0A>").
  [[nodiscard]] virtual std::string piece(TokenId id) const = 0;
  [[nodiscard]] virtual std::optional<TokenId> find(std::string_view piece) const = 0;
  /// "sentencepiece BPE", "byte-level BPE (smollm)" ...
  [[nodiscard]] virtual std::string kind() const = 0;
  /// Of everything that decides its output; part of the key of whatever is made from its tokens.
  [[nodiscard]] virtual Hash fingerprint() const = 0;

  /// The form in which the model reads conversations (lowbit/text/chat_template.h), from the files that the tokenizer
  /// came with. Throws `kConfig` for a model without one.
  [[nodiscard]] ChatTemplate chat_template() const;
  /// Where those lie: a model's folder or file.
  void set_origin(std::filesystem::path model) { origin_ = std::move(model); }

 private:
  std::filesystem::path origin_;
};

/// The tokenizer of a model: a folder with tokenizer.json or tokenizer.model (tokenizer.json wins;
/// tokenizer_config.json and special_tokens_map.json are honoured), or one of those files, or a GGUF file. Throws
/// `kData` / `kUnsupported`.
[[nodiscard]] std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);
[[nodiscard]] std::unique_ptr<Tokenizer> tokenizer_from_gguf(const GgufFile& file);

/// A prompt as the tokenizer cuts texts; one that writes BOS itself gets no second one.
[[nodiscard]] std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::string_view text);

}  // namespace lowbit
