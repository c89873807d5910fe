#pragma once

#include <array>
#include <optional>
#include <vector>

#include "text/word_model.h"

namespace lowbit {

/// The types of pieces, numbered as in sentencepiece and GGUF.
enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// sentencepiece's BPE: adjacent symbols whose concatenation is a piece are merged, the highest score first and the
/// leftmost among equals; what is no piece in the end becomes its bytes, or the unknown piece. Immutable.
class SpmModel : public WordModel {
 public:
  /// One score and one type for each piece, by id. Throws `kData` when there are neither all 256 byte pieces nor an
  /// unknown piece, or a score is not finite.
  SpmModel(Vocabulary vocabulary, std::vector<float> scores, std::vector<PieceType> types, std::string_view origin);

  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  [[nodiscard]] bool splits_at_spaces() const override { return splits_at_spaces_; }
  [[nodiscard]] const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Symbol;
  struct Candidate;
  [[nodiscard]] std::optional<TokenId> mergeable(std::string_view piece) const;
  void merge_symbols(std::string_view word, std::vector<Symbol>& symbols) const;

  Vocabulary vocabulary_;
  std::vector<float> scores_;
  std::vector<PieceType> types_;
  std::array<std::optional<TokenId>, 256> bytes_;
  std::optional<TokenId> unknown_;
  bool splits_at_spaces_ = false;
};

}  // namespace lowbit
