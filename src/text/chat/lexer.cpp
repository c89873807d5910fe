#include "text/chat/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lowbit/base/utf8.h"
#include "text/python_blanks.h"
#include "text/unicode.h"

namespace lowbit::chat {
namespace {

constexpr std::array<std::string_view, 6> kLongSigns = {"==", "!=", "<=", ">=", "**", "//"};
constexpr std::string_view kSigns = "+-*/%~<>=()[]{},.:|";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> all() {
    while (at_ < source_.size()) {
      const std::size_t open = next_opening();
      add_text(open);
      if (open == std::string_view::npos) break;
      read_tag(open);
    }
    tokens_.push_back({Token::Kind::kEnd, "", source_.size()});
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  [[nodiscard]] std::size_t next_opening() const {
    for (std::size_t i = source_.find('{', at_); i != std::string_view::npos; i = source_.find('{', i + 1)) {
      if (i + 1 < source_.size() && std::string_view("%{#").find(source_[i + 1]) != std::string_view::npos) return i;
    }
    return std::string_view::npos;
  }

  /// The text before an opening, without the blanks that the opening takes away.
  void add_text(std::size_t open) {
    std::string_view text = source_.substr(at_, open == std::string_view::npos ? open : open - at_);
    if (open != std::string_view::npos) {
      const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
      if (sign == '-') {
        text = trim_end(text);
      } else if (sign != '+' && source_[open + 1] != '{') {
        const std::size_t line = text.rfind('\n') + 1;  // 0 without one
        if ((line > 0 || line_starts_) && trim_start(text.substr(line)).empty()) text = text.substr(0, line);
      }
    }
    if (!text.empty()) tokens_.push_back({Token::Kind::kText, std::string(text), at_});
  }

  void read_tag(std::size_t open) {
    const char form = source_[open + 1];
    at_ = open + 2;
    if (peek() == '-' || peek() == '+') ++at_;
    if (form == '#') {
      const std::size_t close = source_.find("#}", at_);
      if (close == std::string_view::npos) throw Mistake{open, "the comment is not closed by '#}'"};
      const bool strips = close > at_ && source_[close - 1] == '-';
      const bool keeps = close > at_ && source_[close - 1] == '+';
      at_ = close + 2;
      skip_behind(strips, !keeps);
      return;
    }
    const bool is_tag = form == '%';
    tokens_.push_back({is_tag ? Token::Kind::kTagBegin : Token::Kind::kOutputBegin, "", open});
    while (!read_closing(is_tag)) read_token(open);
  }

  /// What stands behind a closing and goes with it: all blanks, or the line's end.
  void skip_behind(bool strips, bool takes_line_end) {
    const std::size_t closed = at_;
    if (strips) {
      at_ = source_.size() - trim_start(source_.substr(at_)).size();
    } else if (takes_line_end && peek() == '\n') {
      ++at_;
    }
    line_starts_ = at_ > closed && source_[at_ - 1] == '\n';
  }

  bool read_closing(bool is_tag) {
    while (at_ < source_.size() && is_python_space(code_point_at(source_, at_).value)) {
      at_ += code_point_at(source_, at_).size;
    }
    const std::string_view close = is_tag ? "%}" : "}}";
    const bool strips = peek() == '-' && source_.substr(at_ + 1, 2) == close;
    const bool keeps = is_tag && peek() == '+' && source_.substr(at_ + 1, 2) == close;
    const bool inner = !is_tag && !braces_.empty();
    if (!strips && !keeps && (inner || source_.substr(at_, 2) != close)) return false;
    tokens_.push_back({is_tag ? Token::Kind::kTagEnd : Token::Kind::kOutputEnd, "", at_});
    if (!braces_.empty()) throw Mistake{braces_.back(), "the bracket is not closed"};
    at_ += strips || keeps ? 3 : 2;
    skip_behind(strips, is_tag && !keeps);
    return true;
  }

  void read_token(std::size_t open) {
    if (at_ >= source_.size()) throw Mistake{open, "the tag is not closed"};
    const char c = peek();
    if (c == '"' || c == '\'') return read_string(c);
    if (is_digit(c)) return read_number();
    if (is_name_start(c)) return read_name();
    for (const std::string_view sign : kLongSigns) {
      if (source_.substr(at_, sign.size()) == sign) return add(Token::Kind::kSign, sign.size());
    }
    if (kSigns.find(c) == std::string_view::npos) {
      const std::string_view character = source_.substr(at_, code_point_at(source_, at_).size);
      throw Mistake{at_, fmt::format("'{}' has no meaning here", character)};
    }
    if (std::string_view("([{").find(c) != std::string_view::npos) braces_.push_back(at_);
    if (std::string_view(")]}").find(c) != std::string_view::npos) close_bracket(c);
    add(Token::Kind::kSign, 1);
  }

  void close_bracket(char close) {
    const char open = close == ')' ? '(' : close == ']' ? '[' : '{';
    if (braces_.empty() || source_[braces_.back()] != open) {
      throw Mistake{at_, fmt::format("'{}' closes no bracket", close)};
    }
    braces_.pop_back();
  }

  void add(Token::Kind kind, std::size_t length) {
    tokens_.push_back({kind, std::string(source_.substr(at_, length)), at_});
    at_ += length;
  }

  void read_name() {
    std::size_t length = 1;
    while (is_name_start(peek(length)) || is_digit(peek(length))) ++length;
    add(Token::Kind::kName, length);
  }

  void read_number() {
    std::size_t length = 1;
    while (is_digit(peek(length))) ++length;
    const bool real = peek(length) == '.' && is_digit(peek(length + 1));
    if (real) {
      ++length;
      while (is_digit(peek(length))) ++length;
    }
    if (is_name_start(peek(length))) throw Mistake{at_, "a name cannot begin with a digit"};
    add(real ? Token::Kind::kReal : Token::Kind::kInteger, length);
  }

  void read_string(char quote) {
    const std::size_t start = at_++;
    std::string text;
    while (peek() != quote || at_ >= source_.size()) {
      if (at_ >= source_.size()) throw Mistake{start, "the text is not closed by its quote"};
      if (peek() == '\\') {
        text += escape();
      } else {
        text += source_[at_++];
      }
    }
    ++at_;
    tokens_.push_back({Token::Kind::kString, std::move(text), start});
  }

  /// As in Python; what is no escape stays as it is.
  std::string escape() {
    static constexpr std::string_view kLetters = "nrt\\'\"abfv";
    static constexpr std::string_view kMeanings = "\n\r\t\\'\"\a\b\f\v";
    const std::size_t start = at_++;
    const char letter = peek();
    ++at_;
    if (const std::size_t i = kLetters.find(letter); i != std::string_view::npos) return {kMeanings[i]};
    if (letter == '\n') return {};
    if (letter == 'x') return code_point(start, 2);
    if (letter == 'u') return code_point(start, 4);
    if (letter == 'U') return code_point(start, 8);
    if (is_digit(letter)) throw Mistake{start, "octal escapes are not supported; write '\\x' and two digits"};
    at_ = start + 1;
    return "\\";
  }

  std::string code_point(std::size_t start, std::size_t digits) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    char32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char lower = static_cast<char>(peek() >= 'A' && peek() <= 'F' ? peek() + 32 : peek());
      const std::size_t digit = kHex.find(lower);
      if (digit == std::string_view::npos || value > 0x10FFFF) {
        throw Mistake{start, fmt::format("the escape needs {} hexadecimal digits", digits)};
      }
      value = value * 16 + static_cast<char32_t>(digit);
      ++at_;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      throw Mistake{start, "the escape names no character"};
    }
    std::string text;
    append_utf8(text, value);
    return text;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  bool line_starts_ = true;
  std::vector<std::size_t> braces_;  // where brackets were opened that are not closed
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source) { return Lexer(source).all(); }

}  // namespace lowbit::chat
