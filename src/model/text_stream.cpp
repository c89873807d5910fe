#include "model/text_stream.h"

#include <algorithm>
#include <utility>

#include "base/common_prefix.h"

namespace lowbit {
namespace {

// Tokens of the prompt that are decoded along: a decoder may treat the first token of a text in its own way (a leading
// space), and the prompt may end within a character, which takes at most four byte tokens.
constexpr std::size_t kContext = 8;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

std::size_t common_text(std::string_view a, std::string_view b) {
  std::size_t length = common_prefix(a, b);
  while (length > 0 && length < b.size() && continues_character(b[length])) --length;
  return length;
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::span<const TokenId> prompt, std::vector<std::string> stops,
                       std::function<void(std::string_view)> on_text)
    : tokenizer_(tokenizer), stops_(std::move(stops)), on_text_(std::move(on_text)) {
  const std::span<const TokenId> tail = prompt.last(std::min(prompt.size(), kContext));
  ids_.assign(tail.begin(), tail.end());
  before_ = tokenizer_.decode(ids_, true);
}

bool TextStream::add(TokenId id) {
  ids_.push_back(id);
  const std::string whole = tokenizer_.decode(ids_, true);
  text_ = whole.substr(common_text(before_, whole));
  std::size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, text_.find(stop));
  if (end != std::string::npos) text_.resize(end);
  hand_out(end != std::string::npos ? end : certain_length());
  return end != std::string::npos;
}

// A text that ends with U+FFFD may be within a character.
std::size_t TextStream::certain_length() const {
  std::size_t length = text_.size();
  while (length >= kReplacement.size() && std::string_view(text_).substr(0, length).ends_with(kReplacement)) {
    length -= kReplacement.size();
  }
  std::size_t held = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t part = std::min(stop.size() - 1, length); part > held; --part) {
      if (std::string_view(text_).substr(length - part, part) == std::string_view(stop).substr(0, part)) {
        held = part;
        break;
      }
    }
  }
  length -= held;
  while (length > 0 && length < text_.size() && continues_character(text_[length])) --length;
  return length;
}

void TextStream::hand_out(std::size_t length) {
  if (length <= handed_out_) return;
  if (on_text_) on_text_(std::string_view(text_).substr(handed_out_, length - handed_out_));
  handed_out_ = length;
}

void TextStream::finish() { hand_out(text_.size()); }

}  // namespace lowbit
