#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "text/chat/builtins.h"
#include "text/chat/tree.h"

namespace lowbit::chat {

/// Runs a template once. What throws leaves `position` at the expression that could not be evaluated.
class Interpreter {
 public:
  Interpreter(Map globals, std::chrono::sys_days today, std::size_t max_output);
  [[nodiscard]] std::string run(const Body& body);
  [[nodiscard]] std::size_t position() const { return position_; }

 private:
  enum class Flow { kOn, kBreak, kContinue };

  Flow execute(const Body& body);
  Flow execute(const Statement& statement);
  Flow branch(const Statement& statement);
  Flow loop(const Statement& statement);
  void assign(const Statement& statement);
  void set(const std::vector<std::string>& targets, const Value& value);
  void write(const std::string& text);

  Value evaluate(const Expression& expression);
  Value name(const std::string& name);
  Value map_literal(const Expression& expression);
  Value binary(const Expression& expression);
  Value comparison(const Expression& expression);
  Value unary(const Expression& expression);
  Value conditional(const Expression& expression);
  Value call(const Expression& expression);
  Value call_function(const std::string& name, const Arguments& arguments);
  Arguments arguments(const Expression& call);
  std::vector<Value> evaluate_all(const Expression& expression);

  std::vector<Map> scopes_;  ///< the outermost holds what the caller gave
  std::chrono::sys_days today_;
  std::size_t max_output_;
  std::string out_;
  Budget budget_;
  std::size_t position_ = 0;
};

}  // namespace lowbit::chat
