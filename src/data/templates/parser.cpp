#include <algorithm>
#include <charconv>

#include "data/templates/filters.h"
#include "data/templates/lexer.h"
#include "data/templates/template.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

using Token = TemplateToken;
constexpr int kMaxDepth = 8;

/// Reads expressions and conditions out of the tokens between two braces.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  TemplateExpression expression() {
    TemplateExpression result;
    const Token& first = peek();
    if (first.kind == Token::Kind::kText) {
      result.literal = take().text;
    } else if (first.kind == Token::Kind::kNumber) {
      result.literal = number(take());
    } else if (first.kind == Token::Kind::kName) {
      result.name = take().text;
      path(result);
    } else {
      mistake(first, "expected a column's name, a number or a text in quotes");
    }
    while (skip("|")) result.filters.push_back(filter());
    return result;
  }

  TemplateCondition condition() {
    TemplateCondition result;
    do {
      TemplateCondition::Term term;
      term.negated = skip_word("not");
      term.left = expression();
      const bool differs = peek_is("!=");
      if (differs || peek_is("==")) {
        take();
        term.right = expression();
        term.negated = term.negated != differs;
      } else if (skip_word("in")) {
        term.right = expression();
        term.one_of = true;
      }
      result.terms.push_back(std::move(term));
    } while (skip_word("and"));
    return result;
  }

  std::string name() {
    if (peek().kind != Token::Kind::kName) mistake(peek(), "expected a name");
    return take().text;
  }
  void expect_word(std::string_view word) {
    if (!skip_word(word)) mistake(peek(), fmt::format("expected '{}'", word));
  }
  bool skip_word(std::string_view word) {
    if (peek().kind != Token::Kind::kName || peek().text != word) return false;
    ++at_;
    return true;
  }
  void finish() {
    if (peek().kind != Token::Kind::kEnd) mistake(peek(), fmt::format("unexpected '{}'", peek().text));
  }

 private:
  [[nodiscard]] const Token& peek() const { return tokens_[at_]; }
  const Token& take() { return tokens_[at_++]; }
  [[nodiscard]] bool peek_is(std::string_view sign) const {
    return peek().kind == Token::Kind::kSign && peek().text == sign;
  }
  bool skip(std::string_view sign) {
    if (!peek_is(sign)) return false;
    ++at_;
    return true;
  }
  [[noreturn]] static void mistake(const Token& token, std::string message) {
    throw TemplateMistake{token.position, std::move(message)};
  }

  static std::size_t number(const Token& token) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
    if (error != std::errc()) mistake(token, fmt::format("'{}' is too large", token.text));
    return value;
  }

  void path(TemplateExpression& result) {
    while (true) {
      if (skip(".")) {
        result.steps.push_back({name(), std::nullopt});
      } else if (skip("[")) {
        if (peek().kind == Token::Kind::kName) {
          result.steps.push_back({.key = "", .index = std::nullopt, .variable = take().text});
        } else if (peek().kind == Token::Kind::kNumber) {
          result.steps.push_back({"", number(take())});
        } else {
          mistake(peek(), "expected a number or a name between '[' and ']'");
        }
        if (!skip("]")) mistake(peek(), "expected ']'");
      } else {
        return;
      }
    }
  }

  TemplateExpression::FilterCall filter() {
    const Token where = peek();
    TemplateExpression::FilterCall call{.name = name(), .arguments = {}};
    if (skip("(")) {
      do {
        if (peek().kind == Token::Kind::kSign || peek().kind == Token::Kind::kEnd) {
          mistake(peek(), "a filter's argument must be a number, a text in quotes or a column's name");
        }
        const bool is_name = peek().kind == Token::Kind::kName;
        call.arguments.push_back({.text = take().text, .is_name = is_name});
      } while (skip(","));
      if (!skip(")")) mistake(peek(), "expected ')'");
    }
    check(where, call);
    return call;
  }

  static void check(const Token& where, const TemplateExpression::FilterCall& call) {
    std::vector<std::string> names;
    for (const FilterInfo& info : template_filters()) {
      if (info.name == call.name) {
        if (info.arguments == call.arguments.size()) return;
        mistake(where, fmt::format("the filter '{}' takes {} arguments, not {}", call.name, info.arguments,
                                   call.arguments.size()));
      }
      names.emplace_back(info.name);
    }
    mistake(where, fmt::format("unknown filter '{}'{}", call.name, suggestion(call.name, names)));
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Reads the text with its places, whose conditions and loops nest.
class TemplateParser {
 public:
  explicit TemplateParser(std::string_view text) : text_(text) {}

  std::vector<Template::Node> run() {
    std::vector<Template::Node> nodes = block(0);
    if (at_ < text_.size()) throw TemplateMistake{tag_, fmt::format("'{{{}}}' closes nothing", word_)};
    return nodes;
  }

 private:
  // Up to the {else} or {end} that belongs to the place which opened the block; `word_` then holds it.
  std::vector<Template::Node> block(int depth) {
    if (depth > kMaxDepth) throw TemplateMistake{tag_, fmt::format("more than {} levels", kMaxDepth)};
    std::vector<Template::Node> nodes;
    while (true) {
      std::string literal = take_literal();
      if (!literal.empty()) {
        nodes.emplace_back();
        nodes.back().text = std::move(literal);
      }
      if (at_ >= text_.size()) return nodes;
      tag_ = at_;
      const std::size_t length = closing_brace(text_.substr(at_ + 1));
      if (length == std::string_view::npos) throw TemplateMistake{tag_, "'{' is never closed; a brace itself is '{{'"};
      ExpressionParser parser(lex_template(text_.substr(at_ + 1, length), at_ + 1));
      for (const std::string_view closing : {"else", "end"}) {
        if (!parser.skip_word(closing)) continue;
        parser.finish();
        word_ = closing;
        after_tag_ = at_ + length + 2;
        return nodes;
      }
      at_ += length + 2;
      nodes.push_back(place(parser, depth));
    }
  }

  Template::Node place(ExpressionParser& parser, int depth) {
    Template::Node node;
    const std::size_t opened = tag_;
    if (parser.skip_word("if")) {
      node.kind = Template::Node::Kind::kIf;
      node.condition = parser.condition();
    } else if (parser.skip_word("for")) {
      node.kind = Template::Node::Kind::kFor;
      node.text = parser.name();
      parser.expect_word("in");
      node.expression = parser.expression();
    } else {
      node.kind = Template::Node::Kind::kValue;
      node.expression = parser.expression();
      parser.finish();
      return node;
    }
    parser.finish();
    node.body = block(depth + 1);
    if (closed_by("else", opened)) {
      if (node.kind == Template::Node::Kind::kFor) throw TemplateMistake{tag_, "'{else}' belongs to '{if ...}'"};
      node.otherwise = block(depth + 1);
    }
    if (!closed_by("end", opened)) throw TemplateMistake{tag_, "a second '{else}'"};
    return node;
  }

  // Goes behind the tag that ended a block if it is this one; an end of the text is a mistake of what was opened.
  bool closed_by(std::string_view word, std::size_t opened) {
    if (at_ >= text_.size()) throw TemplateMistake{opened, "'{if ...}' or '{for ...}' without its '{end}'"};
    if (word_ != word) return false;
    at_ = after_tag_;
    word_.clear();
    return true;
  }

  std::string take_literal() {
    std::string literal;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool doubled = at_ + 1 < text_.size() && text_[at_ + 1] == c;
      if (c == '{' && !doubled) break;
      if (c == '}' && !doubled) throw TemplateMistake{at_, "'}' closes nothing; a brace itself is '}}'"};
      literal += c;
      at_ += c == '{' || c == '}' ? 2 : 1;
    }
    return literal;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t tag_ = 0;        // where the tag that was read last begins
  std::size_t after_tag_ = 0;  // behind the {else} or {end} in `word_`
  std::string word_;
};

/// Runs `parse`; a mistake becomes a problem at its line and column of the text.
template <typename Parse>
void parse_at(std::string_view text, const SourceMark& mark, ConfigProblems& problems, Parse parse) {
  try {
    parse();
  } catch (const TemplateMistake& mistake) {
    const std::string_view before = text.substr(0, mistake.position);
    const std::size_t line_begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    problems.add(mark,
                 fmt::format("template, line {}, column {}: {}", 1 + std::count(before.begin(), before.end(), '\n'),
                             before.size() - line_begin + 1, mistake.message));
  }
}

/// What `read` makes of a text that stands without braces.
template <typename Result>
Result parse_whole(std::string_view text, const SourceMark& mark, ConfigProblems& problems,
                   Result (ExpressionParser::*read)()) {
  Result result;
  parse_at(text, mark, problems, [&] {
    ExpressionParser parser(lex_template(text, 0));
    result = (parser.*read)();
    parser.finish();
  });
  return result;
}

}  // namespace

Template parse_template(std::string_view text, const SourceMark& mark, ConfigProblems& problems) {
  Template result;
  parse_at(text, mark, problems,
           [&] { result.nodes_ = std::make_shared<const std::vector<Template::Node>>(TemplateParser(text).run()); });
  return result;
}

TemplateExpression parse_expression(std::string_view text, const SourceMark& mark, ConfigProblems& problems) {
  return parse_whole(text, mark, problems, &ExpressionParser::expression);
}

TemplateCondition parse_condition(std::string_view text, const SourceMark& mark, ConfigProblems& problems) {
  return parse_whole(text, mark, problems, &ExpressionParser::condition);
}

}  // namespace lowbit
