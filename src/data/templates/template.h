#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/templates/expression.h"
#include "lowbit/config/node.h"

namespace lowbit {

/// The text of a prompt with places for a row's columns:
///
///   {question | trim}                                     a value (lowbit/data templates/expression.h)
///   {if passage}{passage}\n{else}No passage.\n{end}       a condition
///   {for option in choices}{letter}. {option}\n{end}      a loop; index, number (from 1), letter and last go with it
///   {{ and }}                                             the braces themselves
class Template {
 public:
  /// The most that one template may write.
  static constexpr std::size_t kMaxOutput = std::size_t{1} << 22;
  struct Node;  // literal text, value, condition or loop

  Template() = default;
  [[nodiscard]] const std::vector<Node>& nodes() const { return *nodes_; }
  /// Throws `kData` when the row lacks what the template asks for, or the text grows beyond `kMaxOutput`.
  [[nodiscard]] std::string render(const TemplateScope& scope) const;

 private:
  friend Template parse_template(std::string_view text, const SourceMark& mark, ConfigProblems& problems);
  std::shared_ptr<const std::vector<Node>> nodes_ = std::make_shared<const std::vector<Node>>();
};

struct Template::Node {
  enum class Kind { kText, kValue, kIf, kFor };
  Kind kind = Kind::kText;
  std::string text;               ///< literal, or the loop's variable
  TemplateExpression expression;  ///< of a value or loop
  TemplateCondition condition;
  std::vector<Node> body;
  std::vector<Node> otherwise;
};

/// What goes with one round of a loop: the item under its name, index, number, letter, last.
[[nodiscard]] Json loop_variables(const std::string& name, const Json& items, std::size_t index);

/// Mistakes are added to `problems` at `mark`, with their line and column in the text; the template is then empty.
[[nodiscard]] Template parse_template(std::string_view text, const SourceMark& mark, ConfigProblems& problems);
[[nodiscard]] TemplateExpression parse_expression(std::string_view text, const SourceMark& mark,
                                                  ConfigProblems& problems);
[[nodiscard]] TemplateCondition parse_condition(std::string_view text, const SourceMark& mark,
                                                ConfigProblems& problems);

}  // namespace lowbit
