#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "text/chat/tree.h"

namespace lowbit::chat {
namespace {

/// Reads statements. The tags that end a body are named by who reads it.
class Parser {
 public:
  explicit Parser(std::string_view source) : expressions_(lex(source)) {}

  Body whole() {
    Body body = statements({});
    if (peek().kind != Token::Kind::kEnd) {
      throw Mistake{peek(1).position, fmt::format("'{}' ends nothing", peek(1).text)};
    }
    return body;
  }

 private:
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const { return expressions_.peek(ahead); }

  /// Up to a tag that begins with one of `ends` (or with any ending, without them), which is not taken.
  Body statements(const std::vector<std::string_view>& ends) {
    Body body;
    while (peek().kind != Token::Kind::kEnd) {
      const Token& token = peek();
      if (token.kind == Token::Kind::kText) {
        const Token text = expressions_.take();
        body.push_back({.kind = Statement::Kind::kText, .position = text.position, .text = text.text});
      } else if (token.kind == Token::Kind::kOutputBegin) {
        body.push_back(output());
      } else if (is_ending(peek(1).text, ends)) {
        return body;
      } else {
        tag(body);
      }
    }
    return body;
  }

  static bool is_ending(std::string_view name, const std::vector<std::string_view>& ends) {
    if (!ends.empty()) return std::find(ends.begin(), ends.end(), name) != ends.end();
    return name.substr(0, 3) == "end" || name == "else" || name == "elif";
  }

  Statement output() {
    const std::size_t position = expressions_.take().position;
    Statement made{.kind = Statement::Kind::kOutput, .position = position};
    made.expressions.push_back(expressions_.tuple());
    close(Token::Kind::kOutputEnd, "'}}'");
    return made;
  }

  void close(Token::Kind kind, std::string_view sign) {
    if (peek().kind != kind) expressions_.unexpected(sign);
    expressions_.take();
  }
  void close_tag() { close(Token::Kind::kTagEnd, "'%}'"); }

  void tag(Body& body) {
    const std::size_t position = expressions_.take().position;
    if (++nesting_ > kMaxNesting / 2) {
      throw Mistake{position, fmt::format("more than {} tags lie within each other", kMaxNesting / 2)};
    }
    const std::string name = peek().text;
    if (expressions_.take_name("if")) {
      body.push_back(if_statement(position));
    } else if (expressions_.take_name("for")) {
      body.push_back(for_statement(position));
    } else if (expressions_.take_name("set")) {
      body.push_back(set_statement(position));
    } else if (expressions_.take_name("generation")) {
      close_tag();  // marks the model's turns for training
      Body inner = statements({"endgeneration"});
      end("endgeneration", position, name);
      std::move(inner.begin(), inner.end(), std::back_inserter(body));
    } else if (loops_ > 0 && (expressions_.take_name("break") || expressions_.take_name("continue"))) {
      close_tag();
      const bool breaks = name == "break";
      body.push_back({.kind = breaks ? Statement::Kind::kBreak : Statement::Kind::kContinue, .position = position});
    } else {
      throw Mistake{position, fmt::format("the tag '{}' is not supported in chat templates, only if, for, set, break "
                                          "and continue within for, and generation",
                                          name)};
    }
    --nesting_;
  }

  void end(std::string_view name, std::size_t begin, std::string_view of) {
    if (peek().kind == Token::Kind::kEnd) throw Mistake{begin, fmt::format("'{}' has no '{}'", of, name)};
    expressions_.take();
    if (!expressions_.take_name(name)) expressions_.unexpected(fmt::format("'{}'", name));
    close_tag();
  }

  Statement if_statement(std::size_t position) {
    Statement made{.kind = Statement::Kind::kIf, .position = position};
    do {
      made.expressions.push_back(expressions_.tuple());
      close_tag();
      made.bodies.push_back(statements({"elif", "else", "endif"}));
    } while (next_branch("elif"));
    if (next_branch("else")) {
      close_tag();
      made.bodies.push_back(statements({"endif"}));
    }
    end("endif", position, "if");
    return made;
  }

  bool next_branch(std::string_view name) {
    if (peek().kind != Token::Kind::kTagBegin || peek(1).text != name) return false;
    expressions_.take();
    return expressions_.take_name(name);
  }

  Statement for_statement(std::size_t position) {
    Statement made{.kind = Statement::Kind::kFor, .position = position};
    made.targets = targets();
    if (!expressions_.take_name("in")) expressions_.unexpected("'in'");
    made.expressions.push_back(expressions_.disjunction());
    if (expressions_.take_name("if")) made.expressions.push_back(expressions_.expression());
    if (expressions_.at_name("recursive")) throw Mistake{peek().position, "recursive loops are not supported"};
    close_tag();
    ++loops_;
    made.bodies.push_back(statements({"else", "endfor"}));
    --loops_;
    if (next_branch("else")) {
      close_tag();
      made.bodies.push_back(statements({"endfor"}));
    }
    end("endfor", position, "for");
    return made;
  }

  std::vector<std::string> targets() {
    const bool bracket = expressions_.take_sign("(");
    std::vector<std::string> names;
    do {
      names.push_back(expressions_.expect_name("a variable's name"));
    } while (expressions_.take_sign(","));
    if (bracket) expressions_.expect_sign(")");
    return names;
  }

  Statement set_statement(std::size_t position) {
    Statement made{.kind = Statement::Kind::kSet, .position = position};
    made.targets = targets();
    if (made.targets.size() == 1 && expressions_.take_sign(".")) {
      made.text = expressions_.expect_name("a member's name");
    }
    if (expressions_.take_sign("=")) {
      made.expressions.push_back(expressions_.tuple());
      close_tag();
      return made;
    }
    made.kind = Statement::Kind::kSetBlock;
    if (made.targets.size() != 1 || expressions_.at_sign("|")) expressions_.unexpected("'='");
    close_tag();
    const std::size_t loops = std::exchange(loops_, 0);  // a loop cannot be left from within
    made.bodies.push_back(statements({"endset"}));
    loops_ = loops;
    end("endset", position, "set");
    return made;
  }

  ExpressionParser expressions_;
  std::size_t nesting_ = 0;
  std::size_t loops_ = 0;
};

}  // namespace

Body parse(std::string_view source) { return Parser(source).whole(); }

}  // namespace lowbit::chat
