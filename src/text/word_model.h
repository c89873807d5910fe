#pragma once

#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace lowbit {

/// Codes one word. Immutable.
class WordModel {
 public:
  virtual ~WordModel() = default;
  /// Appends the ids of a word of well-formed UTF-8.
  virtual void encode(std::string_view word, std::vector<TokenId>& ids) const = 0;
  /// Whether a text may be cut before each "▁" that follows another character, and its parts coded one by one, with
  /// the same result: no token and no merge reaches across such a place.
  [[nodiscard]] virtual bool splits_at_spaces() const = 0;
  [[nodiscard]] virtual const Vocabulary& vocabulary() const = 0;
};

}  // namespace lowbit
