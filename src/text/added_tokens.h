#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lowbit/text/tokenizer.h"
#include "text/regex.h"

namespace lowbit {

/// A token that is found in the text itself, before anything else happens to it. Named as in tokenizer.json.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  // only where no word character is beside it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = true;    // looked for in the normalized text
  bool special = false;
};

/// A part of a text that is a token, or plain text.
struct Segment {
  Range range;
  std::optional<TokenId> token;
};

/// Finds added tokens: of those that start furthest left the longest, not overlapping.
class AddedTokenMatcher {
 public:
  /// `content` is what is looked for, which may be `token.content` normalized. Of two tokens with the same content the
  /// first counts.
  void add(std::string_view content, const AddedToken& token);

  /// The segments cover the text, up to white space that a token took twice. Special tokens count as plain text
  /// unless `parse_special`.
  [[nodiscard]] std::vector<Segment> split(std::string_view text, bool parse_special) const;

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  struct Match {
    std::size_t end;
    std::size_t token;
  };
  [[nodiscard]] std::optional<Match> longest_at(std::string_view text, std::size_t begin) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_bytes_{};
  std::unordered_map<std::uint64_t, std::size_t> edges_;  // (node << 8 | byte) -> node
  std::vector<std::size_t> token_at_node_{kNone};
};

}  // namespace lowbit
