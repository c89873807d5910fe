#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat/lexer.h"
#include "text/chat/value.h"

namespace lowbit::chat {

/// The most that expressions and statements lie within each other. Chains such as `a + b + c` count each sign.
constexpr std::size_t kMaxNesting = 128;

/// An expression, with what it is made of in `parts`.
struct Expression {
  enum class Kind {
    kNothing,      ///< a part that may be left out and is
    kLiteral,      ///< value
    kName,         ///< text
    kList,         ///< parts
    kMap,          ///< key, value, key, value ...
    kMember,       ///< parts[0].text
    kItem,         ///< parts[0][parts[1]]
    kSlice,        ///< parts[0][parts[1]:parts[2]:parts[3]]
    kCall,         ///< parts[0](parts[1...]), the last ones by `names`
    kFilter,       ///< parts[0] | text(parts[1...]), as for a call
    kTest,         ///< parts[0] is text(parts[1...])
    kUnary,        ///< text: "not", "-" or "+"
    kBinary,       ///< text: "and", "or", "~", "+", "-", "*", "/", "//", "%", "**"
    kComparison,   ///< parts[0] names[0] parts[1] names[1] parts[2] ...
    kConditional,  ///< parts[0] if parts[1] else parts[2]
  };
  Kind kind = Kind::kNothing;
  std::size_t position = 0;
  std::string text = {};
  Value value = {};
  std::vector<Expression> parts = {};
  std::vector<std::string> names = {};
  std::size_t depth = 1;
};

struct Statement;
using Body = std::vector<Statement>;

struct Statement {
  enum class Kind {
    kText,      ///< text
    kOutput,    ///< expressions[0]
    kIf,        ///< bodies[i] if expressions[i], else the last body
    kFor,       ///< targets in expressions[0], if expressions[1]: bodies[0], without items bodies[1]
    kSet,       ///< targets = expressions[0]
    kSetBlock,  ///< targets = what bodies[0] writes
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  std::size_t position = 0;
  std::string text = {};                  ///< of kSet, the member of a namespace, if not empty
  std::vector<std::string> targets = {};  ///< several take a list apart
  std::vector<Expression> expressions = {};
  std::vector<Body> bodies = {};
};

[[nodiscard]] Body parse(std::string_view source);

/// Reads expressions from tokens.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  [[nodiscard]] Expression expression();
  /// The items of `a, b`, as a list where there is a comma.
  [[nodiscard]] Expression tuple();
  /// As far as a conditional's "if", which behind the items of a `for` is a filter.
  [[nodiscard]] Expression disjunction();
  /// Filters behind what was read.
  [[nodiscard]] Expression filtered(Expression of);

  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const;
  Token take();
  [[nodiscard]] bool at_sign(std::string_view sign) const;
  [[nodiscard]] bool at_name(std::string_view name) const;
  bool take_sign(std::string_view sign);
  bool take_name(std::string_view name);
  void expect_sign(std::string_view sign);
  /// A name that is no keyword.
  std::string expect_name(std::string_view what);
  [[noreturn]] void unexpected(std::string_view expected) const;

 private:
  struct Guard;
  Expression conjunction();
  Expression negation();
  Expression comparison();
  Expression sum();
  Expression concatenation();
  Expression product();
  Expression power();
  Expression unary(bool with_filters);
  Expression primary();
  Expression bracketed();
  Expression map_literal();
  Expression postfixed(Expression of);
  Expression subscript(Expression of);
  Expression test(Expression of);
  void arguments(Expression& call);
  [[nodiscard]] Expression make(Expression::Kind kind, std::size_t position, std::string text,
                                std::vector<Expression> parts) const;
  void check_depth(Expression& expression) const;

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t nesting_ = 0;
};

}  // namespace lowbit::chat
