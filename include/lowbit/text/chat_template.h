#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// One turn of a conversation.
struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

struct ChatOptions {
  bool add_generation_prompt = true;  ///< end with what stands before the model's answer
  /// What templates that ask for today's date are told. Fixed, so that a result does not depend on the day: Llama's
  /// own templates name this one where they are not told any.
  std::chrono::sys_days today = std::chrono::year{2024} / 7 / 26;
};

/// The form in which a chat model reads a conversation: the Jinja template that a model carries, rendered as
/// transformers' `apply_chat_template` does, special tokens written out. Of Jinja's language it knows what published
/// templates use (docs/chat-templates.md); steps, memory, output and nesting are bounded. Immutable; safe from several
/// threads.
///
///   const ChatTemplate chat = ChatTemplate::of_model("models/qwen3");
///   tokenizer.encode(chat.render({{"user", "Who are you?"}}), {.add_special = false});
class ChatTemplate {
 public:
  static constexpr std::size_t kMaxSource = std::size_t{1} << 20;
  static constexpr std::size_t kMaxOutput = std::size_t{1} << 22;

  /// `tokens`: special tokens as templates call them ("bos_token"). Throws `kData` as "<origin>: chat template, line 3,
  /// column 7: ..." for a template that is not well formed or uses what is not supported.
  ChatTemplate(std::string_view source, std::map<std::string, std::string> tokens, std::string origin);
  /// Of a folder: chat_template.jinja, chat_template.json, else tokenizer_config.json's; of a GGUF file: its
  /// 'tokenizer.chat_template'. Of several by name it is the one called "default". Throws `kConfig` for a model without
  /// one.
  [[nodiscard]] static ChatTemplate of_model(const std::filesystem::path& path);

  /// With line feeds as line ends.
  [[nodiscard]] const std::string& source() const { return source_; }
  /// Throws `kData`, with line and column, for conversations that the template refuses.
  [[nodiscard]] std::string render(const std::vector<ChatMessage>& messages, const ChatOptions& options = {}) const;

 private:
  struct Program;
  std::string source_;
  std::map<std::string, std::string> tokens_;
  std::string origin_;
  std::shared_ptr<const Program> program_;
};

}  // namespace LOWBIT_EXPORT
