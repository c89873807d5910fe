#pragma once

#include "lowbit/text/tokenizer.h"

namespace lowbit::testing {

/// Every byte is a token; id 256 is BOS, put in front when asked for.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool adds_bos = false) : adds_bos_(adds_bos) {}

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const override {
    std::vector<TokenId> ids;
    if (adds_bos_ && options.add_special) ids.push_back(kBos);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (id != kBos) text += static_cast<char>(id);
    }
    return text;
  }
  [[nodiscard]] std::int64_t size() const override { return 257; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return kBos; }
  [[nodiscard]] std::optional<TokenId> eos() const override { return std::nullopt; }
  [[nodiscard]] bool adds_bos() const override { return adds_bos_; }
  [[nodiscard]] bool is_special(TokenId id) const override { return id == kBos; }
  [[nodiscard]] std::string piece(TokenId id) const override { return std::string(1, static_cast<char>(id)); }
  [[nodiscard]] std::optional<TokenId> find(std::string_view piece) const override {
    if (piece.size() != 1) return std::nullopt;
    return static_cast<unsigned char>(piece[0]);
  }
  [[nodiscard]] std::string kind() const override { return "bytes"; }
  [[nodiscard]] Hash fingerprint() const override { return hash_of(adds_bos_ ? "bytes, BOS" : "bytes"); }

  static constexpr TokenId kBos = 256;

 private:
  bool adds_bos_;
};

}  // namespace lowbit::testing
