#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// The text that generated tokens add to a prompt, handed out as it becomes certain: whole characters only, and nothing
/// that may turn out to begin a stop text.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, std::span<const TokenId> prompt, std::vector<std::string> stops,
             std::function<void(std::string_view)> on_text);

  /// True when a stop text is complete; the text then ends before it.
  bool add(TokenId id);
  /// Hands out what was held back.
  void finish();
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  [[nodiscard]] std::size_t certain_length() const;
  void hand_out(std::size_t length);

  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  std::function<void(std::string_view)> on_text_;
  std::vector<TokenId> ids_;  // the prompt's last tokens, then the generated ones
  std::string before_;        // the text of the prompt's last tokens
  std::string text_;
  std::size_t handed_out_ = 0;
};

}  // namespace lowbit
