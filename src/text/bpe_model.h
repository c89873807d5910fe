#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/merge_table.h"
#include "text/word_model.h"

namespace lowbit {

struct BpeOptions {
  std::optional<std::string> unknown_token;
  std::string continuing_subword_prefix;  // before every character of a word but the first
  std::string end_of_word_suffix;         // after the last character
  bool fuse_unknown = false;              // one unknown token for several unknown characters in a row
  bool byte_fallback = false;             // unknown characters become the tokens "<0xHH>" of their bytes
  bool ignore_merges = false;             // a word that is a token stays whole
};

/// Byte-pair encoding of one word: characters, then the adjacent pair of lowest rank merged again and again, the
/// leftmost first among equals. Time n log n in the word's length. Immutable.
class BpeModel : public WordModel {
 public:
  using Merge = std::pair<std::string, std::string>;

  /// `merges` by rank. Throws `kData` when a merge names or makes a token that the vocabulary lacks.
  BpeModel(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options, std::string_view origin);

  /// Appends the ids of a word of well-formed UTF-8. A character without a token is dropped when the model has neither
  /// byte tokens nor an unknown token, as Hugging Face does.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;

  [[nodiscard]] bool splits_at_spaces() const override { return splits_at_spaces_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Symbol;
  void add_merge(const Merge& merge, std::size_t rank, std::string_view origin);
  void start_symbols(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_symbols(std::vector<Symbol>& symbols) const;
  [[nodiscard]] bool append_bytes(std::string_view character, std::vector<Symbol>& symbols) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  MergeTable merges_;
  std::vector<TokenId> made_by_rank_;
  std::optional<TokenId> unknown_;
  bool splits_at_spaces_ = false;
  std::array<std::optional<TokenId>, 256> byte_tokens_;
};

}  // namespace lowbit
