#include "data/templates/lexer.h"

#include <algorithm>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// Letters of any alphabet: what is not ASCII counts as one.
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }

class Lexer {
 public:
  Lexer(std::string_view text, std::size_t offset) : text_(text), offset_(offset) {}

  std::vector<TemplateToken> run() {
    std::vector<TemplateToken> tokens;
    while (true) {
      while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
      tokens.push_back(next());
      if (tokens.back().kind == TemplateToken::Kind::kEnd) return tokens;
    }
  }

 private:
  TemplateToken next() {
    const std::size_t begin = at_;
    if (begin == text_.size()) return {TemplateToken::Kind::kEnd, "", offset_ + begin};
    const char c = text_[begin];
    if (is_quote(c)) return quoted(c);
    if (begins_name(c)) {
      return taken(TemplateToken::Kind::kName, [](char x) { return begins_name(x) || is_digit(x); });
    }
    if (is_digit(c)) return taken(TemplateToken::Kind::kNumber, is_digit);
    const std::string_view two = text_.substr(begin, 2);
    at_ += two == "==" || two == "!=" ? 2 : 1;
    const std::string sign(text_.substr(begin, at_ - begin));
    if (sign.size() == 1 && std::string_view(".[]|(),").find(c) == std::string_view::npos) {
      throw TemplateMistake{offset_ + begin, fmt::format("unexpected '{}'", sign)};
    }
    return {TemplateToken::Kind::kSign, sign, offset_ + begin};
  }

  template <typename Belongs>
  TemplateToken taken(TemplateToken::Kind kind, Belongs belongs) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    return {kind, std::string(text_.substr(begin, at_ - begin)), offset_ + begin};
  }

  TemplateToken quoted(char quote) {
    const std::size_t begin = at_++;
    TemplateToken token{quote == '`' ? TemplateToken::Kind::kName : TemplateToken::Kind::kText, "", offset_ + begin};
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote) {
        ++at_;
        return token;
      }
      token.text += text_[at_] == '\\' && at_ + 1 < text_.size() ? escaped(text_[++at_]) : text_[at_];
    }
    throw TemplateMistake{token.position, fmt::format("{} is never closed", quote)};
  }

  static char escaped(char c) { return c == 'n' ? '\n' : c == 't' ? '\t' : c; }

  std::string_view text_;
  std::size_t offset_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<TemplateToken> lex_template(std::string_view text, std::size_t offset) { return Lexer(text, offset).run(); }

std::size_t closing_brace(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quote != 0) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == quote)
        quote = 0;
    } else if (is_quote(text[i])) {
      quote = text[i];
    } else if (text[i] == '}') {
      return i;
    }
  }
  return std::string_view::npos;
}

}  // namespace lowbit
