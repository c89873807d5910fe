#include "lowbit/text/chat_template.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"
#include "text/chat/interpreter.h"
#include "text/chat/tree.h"

namespace lowbit {
namespace {

/// As Jinja reads a source: line ends are line feeds, and one at the very end does not count.
std::string prepared(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

[[noreturn]] void fail_at(const std::string& origin, std::string_view source, std::size_t position,
                          std::string_view message) {
  const std::string_view before = source.substr(0, position);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t column = position - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  fail(ErrorCode::kData, "{}: chat template, line {}, column {}: {}", origin, line, column, message);
}

chat::Map globals_for(const std::vector<ChatMessage>& messages, const std::map<std::string, std::string>& tokens,
                      const ChatOptions& options) {
  std::vector<chat::Value> list;
  for (const ChatMessage& message : messages) {
    chat::Map turn;
    turn.set("role", chat::Value(message.role));
    turn.set("content", chat::Value(message.content));
    list.push_back(chat::Value::map(std::move(turn)));
  }
  chat::Map globals;
  for (const auto& [name, text] : tokens) globals.set(name, chat::Value(text));
  globals.set("messages", chat::Value::list(std::move(list)));
  globals.set("add_generation_prompt", chat::Value(options.add_generation_prompt));
  globals.set("tools", chat::Value(chat::None{}));
  globals.set("documents", chat::Value(chat::None{}));
  return globals;
}

}  // namespace

struct ChatTemplate::Program {
  chat::Body body;
};

ChatTemplate::ChatTemplate(std::string_view source, std::map<std::string, std::string> tokens, std::string origin)
    : tokens_(std::move(tokens)), origin_(std::move(origin)) {
  if (source.size() > kMaxSource) {
    fail(ErrorCode::kData, "{}: the chat template has {} bytes, expected {} at most", origin_, source.size(),
         kMaxSource);
  }
  if (const auto position = find_invalid_utf8(source)) {
    fail(ErrorCode::kData, "{}: the chat template is not well-formed UTF-8 at byte {}", origin_, *position);
  }
  source_ = prepared(source);
  try {
    program_ = std::make_shared<const Program>(Program{chat::parse(source_)});
  } catch (const chat::Mistake& mistake) {
    fail_at(origin_, source_, mistake.position, mistake.message);
  }
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages, const ChatOptions& options) const {
  for (const ChatMessage& message : messages) {
    if (find_invalid_utf8(message.role) || find_invalid_utf8(message.content)) {
      fail(ErrorCode::kData, "{}: a chat message is not well-formed UTF-8", origin_);
    }
  }
  chat::Interpreter interpreter(globals_for(messages, tokens_, options), options.today, kMaxOutput);
  try {
    return interpreter.run(program_->body);
  } catch (const Error& error) {
    fail_at(origin_, source_, interpreter.position(), error.what());
  }
}

}  // namespace lowbit
