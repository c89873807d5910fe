#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/json.h"

namespace lowbit {

/// What the names in a template stand for: a row's columns, and the variables of the places around it. Refers to what
/// it was given.
class TemplateScope {
 public:
  explicit TemplateScope(const Json& columns, const TemplateScope* outer = nullptr)
      : columns_(columns), outer_(outer) {}
  /// Null pointer for an unknown name.
  [[nodiscard]] const Json* find(std::string_view name) const;
  /// Every name, the inner ones first.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  const Json& columns_;
  const TemplateScope* outer_;
};

/// A value in a template: a column, what lies within it, or a literal, through filters:
///
///   question      choices.text[0]      labels[index]      `Best Answer`      options | join(", ") | trim
class TemplateExpression {
 public:
  struct Step {
    std::string key;                   ///< of an object
    std::optional<std::size_t> index;  ///< of a list, in place of a key
    std::string variable = {};         ///< the name that holds the index, in place of both
  };
  struct Argument {
    std::string text;
    bool is_name = false;  ///< of a column or variable, whose text or number is meant
  };
  struct FilterCall {
    std::string name;
    std::vector<Argument> arguments;
  };
  /// Throws `kData` naming a column that is missing or of a kind that a step or filter cannot take.
  [[nodiscard]] Json value(const TemplateScope& scope) const;
  /// False for what is missing, null, false, zero or empty. Filters act where there is something.
  [[nodiscard]] bool holds(const TemplateScope& scope) const;

  Json literal;  ///< used when `name` is empty
  std::string name;
  std::vector<Step> steps;
  std::vector<FilterCall> filters;

 private:
  [[nodiscard]] const Json* find(const TemplateScope& scope) const;
  [[nodiscard]] Json filtered(Json value, const TemplateScope& scope) const;
  [[nodiscard]] std::string path() const;
};

/// `a`, `not a`, `a == b`, `a != b`, `a in b` (one of a list), joined by `and`.
class TemplateCondition {
 public:
  struct Term {
    TemplateExpression left;
    std::optional<TemplateExpression> right;
    bool one_of = false;  ///< `in`: `right` is a list
    bool negated = false;
  };
  [[nodiscard]] bool holds(const TemplateScope& scope) const;
  std::vector<Term> terms;
};

/// A text or a number as a template writes it. Throws `kData` for the other kinds, calling the value `what`.
[[nodiscard]] std::string template_text(const Json& value, std::string_view what);

/// The list that an expression gives. Throws `kData` when it gives something else.
[[nodiscard]] Json template_list(const TemplateExpression& expression, const TemplateScope& scope);

}  // namespace lowbit
