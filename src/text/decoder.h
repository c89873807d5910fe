#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "text/regex.h"

namespace lowbit {

struct DecodedToken {
  std::string text;
  bool added = false;  // an added token, not one of the model's
};

/// Turns tokens as the vocabulary spells them into parts of a text, which are then joined. Immutable.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Throws `kUnsupported` when the tokens' texts together grow beyond `growth_limit`.
  void apply(std::vector<DecodedToken>& tokens) const;
  /// The same as a step among others, in which the texts may grow to `limit` bytes.
  virtual void run(std::vector<DecodedToken>& tokens, std::size_t limit) const = 0;
};

std::unique_ptr<Decoder> decoder_sequence(std::vector<std::unique_ptr<Decoder>> steps);
/// GPT-2's characters back to bytes. Added tokens are plain text when `added_are_text`, else only those with a
/// character outside the alphabet are (as Hugging Face has it).
std::unique_ptr<Decoder> byte_level_decoder(bool added_are_text);
/// Runs of "<0xHH>" to the text that they spell, or one U+FFFD a byte when that is ill-formed.
std::unique_ptr<Decoder> byte_fallback_decoder();
std::unique_ptr<Decoder> replace_decoder(Regex pattern, std::string content);
/// Joins all tokens to one.
std::unique_ptr<Decoder> fuse_decoder();
/// Removes up to `start` leading and `stop` trailing characters `content` from each token.
std::unique_ptr<Decoder> strip_decoder(std::string content, std::size_t start, std::size_t stop);
/// `replacement` to space; dropped in the first token when encoding put it there.
std::unique_ptr<Decoder> metaspace_decoder(std::string replacement, bool drop_first);
/// sentencepiece's pieces: `space` to a space, "<0xHH>" to bytes; with `prefix` the space that encoding put before a
/// text and behind each added token is dropped. Added tokens are plain text.
std::unique_ptr<Decoder> sentencepiece_decoder(std::string space, bool prefix);

/// The byte that "<0x0A>" spells, or -1.
int byte_of_piece(const std::string& piece);

}  // namespace lowbit
