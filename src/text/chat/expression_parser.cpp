#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "text/chat/tree.h"

namespace lowbit::chat {
namespace {

constexpr std::array<std::string_view, 8> kKeywords = {"and", "or", "not", "in", "is", "if", "else", "elif"};
constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<", "<=", ">", ">="};

bool is_keyword(std::string_view name) {
  return std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end();
}

/// Unlike a list in braces, without copies.
template <typename... Parts>
std::vector<Expression> parts_of(Parts&&... parts) {
  std::vector<Expression> all;
  (all.push_back(std::forward<Parts>(parts)), ...);
  return all;
}

template <typename Number>
Value number_of(const Token& token) {
  Number number = 0;
  const char* end = token.text.data() + token.text.size();
  if (std::from_chars(token.text.data(), end, number).ec != std::errc{}) {
    throw Mistake{token.position, fmt::format("the number {} is too large", token.text)};
  }
  return Value(number);
}

}  // namespace

/// Keeps the parser's own recursion within bounds.
struct ExpressionParser::Guard {
  explicit Guard(ExpressionParser& of) : parser(of) {
    if (++parser.nesting_ > kMaxNesting) {
      throw Mistake{parser.peek().position, fmt::format("more than {} expressions lie within each other", kMaxNesting)};
    }
  }
  ~Guard() { --parser.nesting_; }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ExpressionParser& parser;
};

const Token& ExpressionParser::peek(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token ExpressionParser::take() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::at_sign(std::string_view sign) const {
  return peek().kind == Token::Kind::kSign && peek().text == sign;
}

bool ExpressionParser::at_name(std::string_view name) const {
  return peek().kind == Token::Kind::kName && peek().text == name;
}

bool ExpressionParser::take_sign(std::string_view sign) {
  if (!at_sign(sign)) return false;
  take();
  return true;
}

bool ExpressionParser::take_name(std::string_view name) {
  if (!at_name(name)) return false;
  take();
  return true;
}

void ExpressionParser::expect_sign(std::string_view sign) {
  if (!take_sign(sign)) unexpected(fmt::format("'{}'", sign));
}

std::string ExpressionParser::expect_name(std::string_view what) {
  if (peek().kind != Token::Kind::kName || is_keyword(peek().text)) unexpected(what);
  return take().text;
}

void ExpressionParser::unexpected(std::string_view expected) const {
  const Token& token = peek();
  const bool ends = token.kind == Token::Kind::kTagEnd || token.kind == Token::Kind::kOutputEnd;
  const std::string got = ends                                 ? "the tag's end"
                          : token.kind == Token::Kind::kEnd    ? "the template's end"
                          : token.kind == Token::Kind::kString ? "a text"
                                                               : fmt::format("'{}'", token.text);
  throw Mistake{token.position, fmt::format("expected {}, got {}", expected, got)};
}

void ExpressionParser::check_depth(Expression& expression) const {
  expression.depth = 1;
  for (const Expression& part : expression.parts) expression.depth = std::max(expression.depth, part.depth + 1);
  if (expression.depth > kMaxNesting) {
    throw Mistake{expression.position, fmt::format("more than {} expressions lie within each other", kMaxNesting)};
  }
}

Expression ExpressionParser::make(Expression::Kind kind, std::size_t position, std::string text,
                                  std::vector<Expression> parts) const {
  Expression made{.kind = kind, .position = position, .text = std::move(text), .parts = std::move(parts)};
  check_depth(made);
  return made;
}

Expression ExpressionParser::tuple() {
  Expression first = expression();
  if (!at_sign(",")) return first;
  const std::size_t position = first.position;
  std::vector<Expression> parts;
  parts.push_back(std::move(first));
  while (take_sign(",")) {
    const bool ends = peek().kind == Token::Kind::kTagEnd || at_sign(")");
    if (ends) break;
    parts.push_back(expression());
  }
  return make(Expression::Kind::kList, position, "", std::move(parts));
}

Expression ExpressionParser::expression() {
  const Guard guard(*this);
  Expression value = disjunction();
  while (at_name("if")) {
    const std::size_t position = take().position;
    Expression condition = disjunction();
    Expression otherwise{.kind = Expression::Kind::kNothing, .position = position};
    if (take_name("else")) otherwise = expression();
    value = make(Expression::Kind::kConditional, position, "",
                 parts_of(std::move(value), std::move(condition), std::move(otherwise)));
  }
  return value;
}

Expression ExpressionParser::disjunction() {
  Expression left = conjunction();
  while (at_name("or")) {
    const std::size_t position = take().position;
    left = make(Expression::Kind::kBinary, position, "or", parts_of(std::move(left), conjunction()));
  }
  return left;
}

Expression ExpressionParser::conjunction() {
  Expression left = negation();
  while (at_name("and")) {
    const std::size_t position = take().position;
    left = make(Expression::Kind::kBinary, position, "and", parts_of(std::move(left), negation()));
  }
  return left;
}

Expression ExpressionParser::negation() {
  if (!at_name("not")) return comparison();
  const Guard guard(*this);
  const std::size_t position = take().position;
  return make(Expression::Kind::kUnary, position, "not", parts_of(negation()));
}

Expression ExpressionParser::comparison() {
  Expression first = sum();
  Expression chain{.kind = Expression::Kind::kComparison, .position = peek().position};
  while (true) {
    const Token& token = peek();
    const bool sign = token.kind == Token::Kind::kSign &&
                      std::find(kComparisons.begin(), kComparisons.end(), token.text) != kComparisons.end();
    if (sign) {
      chain.names.push_back(take().text);
    } else if (take_name("in")) {
      chain.names.emplace_back("in");
    } else if (at_name("not") && peek(1).kind == Token::Kind::kName && peek(1).text == "in") {
      take();
      take();
      chain.names.emplace_back("not in");
    } else {
      break;
    }
    chain.parts.push_back(sum());
  }
  if (chain.parts.empty()) return first;
  chain.parts.insert(chain.parts.begin(), std::move(first));
  check_depth(chain);
  return chain;
}

Expression ExpressionParser::sum() {
  Expression left = concatenation();
  while (at_sign("+") || at_sign("-")) {
    const Token sign = take();
    left = make(Expression::Kind::kBinary, sign.position, sign.text, parts_of(std::move(left), concatenation()));
  }
  return left;
}

Expression ExpressionParser::concatenation() {
  Expression left = product();
  while (at_sign("~")) {
    const Token sign = take();
    left = make(Expression::Kind::kBinary, sign.position, sign.text, parts_of(std::move(left), product()));
  }
  return left;
}

Expression ExpressionParser::product() {
  Expression left = power();
  while (at_sign("*") || at_sign("/") || at_sign("//") || at_sign("%")) {
    const Token sign = take();
    left = make(Expression::Kind::kBinary, sign.position, sign.text, parts_of(std::move(left), power()));
  }
  return left;
}

Expression ExpressionParser::power() {
  Expression base = unary(true);
  if (at_sign("**")) throw Mistake{peek().position, "powers are not supported in chat templates"};
  return base;
}

Expression ExpressionParser::unary(bool with_filters) {
  const Guard guard(*this);
  Expression value;
  if (at_sign("-") || at_sign("+")) {
    const Token sign = take();
    value = make(Expression::Kind::kUnary, sign.position, sign.text, parts_of(unary(false)));
  } else {
    value = primary();
  }
  value = postfixed(std::move(value));
  return with_filters ? filtered(std::move(value)) : value;
}

Expression ExpressionParser::primary() {
  const Token token = peek();
  if (token.kind == Token::Kind::kSign) return bracketed();
  Expression made{.kind = Expression::Kind::kLiteral, .position = token.position};
  switch (token.kind) {
    case Token::Kind::kString: {
      std::string text;
      while (peek().kind == Token::Kind::kString) text += take().text;
      made.value = Value(std::move(text));
      return made;
    }
    case Token::Kind::kInteger: made.value = number_of<std::int64_t>(take()); return made;
    case Token::Kind::kReal: made.value = number_of<double>(take()); return made;
    default: break;
  }
  const std::string name = expect_name("a value");
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    made.value = Value(name == "true" || name == "True");
  } else if (name == "none" || name == "None") {
    made.value = Value(None{});
  } else {
    made.kind = Expression::Kind::kName;
    made.text = name;
  }
  return made;
}

Expression ExpressionParser::bracketed() {
  const std::size_t position = peek().position;
  if (at_sign("{")) return map_literal();
  if (take_sign("(")) {
    if (take_sign(")")) return make(Expression::Kind::kList, position, "", {});
    Expression inner = tuple();
    expect_sign(")");
    return inner;
  }
  if (!take_sign("[")) unexpected("a value");
  std::vector<Expression> parts;
  while (!at_sign("]")) {
    parts.push_back(expression());
    if (!take_sign(",")) break;
  }
  expect_sign("]");
  return make(Expression::Kind::kList, position, "", std::move(parts));
}

Expression ExpressionParser::map_literal() {
  const std::size_t position = take().position;
  std::vector<Expression> parts;
  while (!at_sign("}")) {
    parts.push_back(expression());
    expect_sign(":");
    parts.push_back(expression());
    if (!take_sign(",")) break;
  }
  expect_sign("}");
  return make(Expression::Kind::kMap, position, "", std::move(parts));
}

Expression ExpressionParser::postfixed(Expression of) {
  while (true) {
    if (at_sign(".")) {
      const std::size_t position = take().position;
      if (peek().kind != Token::Kind::kName) unexpected("a member's name");
      std::string name = take().text;
      of = make(Expression::Kind::kMember, position, std::move(name), parts_of(std::move(of)));
    } else if (at_sign("[")) {
      of = subscript(std::move(of));
    } else if (at_sign("(")) {
      Expression call{.kind = Expression::Kind::kCall, .position = peek().position};
      call.parts.push_back(std::move(of));
      arguments(call);
      of = std::move(call);
    } else {
      return of;
    }
  }
}

Expression ExpressionParser::subscript(Expression of) {
  const std::size_t position = take().position;
  std::vector<Expression> parts;
  parts.push_back(std::move(of));
  bool slice = false;
  while (true) {
    const bool left_out = at_sign(":") || at_sign("]");
    parts.push_back(left_out ? Expression{.position = peek().position} : expression());
    if (!at_sign(":")) break;
    take();
    slice = true;
  }
  if (parts.size() > 4) throw Mistake{position, "a slice has a start, a stop and a step at most"};
  if (!slice && parts[1].kind == Expression::Kind::kNothing) unexpected("an index");
  expect_sign("]");
  return make(slice ? Expression::Kind::kSlice : Expression::Kind::kItem, position, "", std::move(parts));
}

void ExpressionParser::arguments(Expression& call) {
  expect_sign("(");
  while (!at_sign(")")) {
    const bool named = peek().kind == Token::Kind::kName && peek(1).kind == Token::Kind::kSign && peek(1).text == "=";
    if (named) {
      call.names.push_back(take().text);
      take();
    } else if (!call.names.empty()) {
      unexpected("a named argument behind named ones");
    }
    call.parts.push_back(expression());
    if (!take_sign(",")) break;
  }
  expect_sign(")");
  check_depth(call);
}

Expression ExpressionParser::filtered(Expression of) {
  while (true) {
    if (at_sign("|")) {
      take();
      Expression call{.kind = Expression::Kind::kFilter, .position = peek().position};
      call.text = expect_name("a filter's name");
      call.parts.push_back(std::move(of));
      if (at_sign("(")) arguments(call);
      check_depth(call);
      of = std::move(call);
    } else if (at_name("is")) {
      of = test(std::move(of));
    } else {
      return of;
    }
  }
}

Expression ExpressionParser::test(Expression of) {
  const std::size_t position = take().position;
  const bool negated = take_name("not");
  Expression call{.kind = Expression::Kind::kTest, .position = peek().position};
  const bool sign = at_sign("==");
  if (!sign && peek().kind != Token::Kind::kName) unexpected("a test's name");
  call.text = take().text;
  call.parts.push_back(std::move(of));
  const Token::Kind next = peek().kind;
  const bool value = next == Token::Kind::kString || next == Token::Kind::kInteger || next == Token::Kind::kReal ||
                     (next == Token::Kind::kName && !is_keyword(peek().text)) || at_sign("[") || at_sign("{");
  if (at_sign("(")) {
    arguments(call);
  } else if (value) {
    call.parts.push_back(postfixed(primary()));
  }
  check_depth(call);
  if (!negated) return call;
  return make(Expression::Kind::kUnary, position, "not", parts_of(std::move(call)));
}

}  // namespace lowbit::chat
