#include "data/templates/expression.h"

#include <algorithm>

#include "data/templates/filters.h"
#include "lowbit/base/error.h"
#include "lowbit/config/node.h"

namespace lowbit {
namespace {

const Json& named(const std::string& name, const TemplateScope& scope) {
  if (const Json* found = scope.find(name); found != nullptr) return *found;
  fail(ErrorCode::kData, "the row has no column '{}'{}", name, suggestion(name, scope.names()));
}

/// The item, or nothing when the list is none or shorter.
const Json* item_of(const Json& list, std::size_t index) {
  return list.is_array() && index < list.size() ? &list[index] : nullptr;
}

std::size_t index_held_by(const std::string& name, const TemplateScope& scope) {
  const Json& value = named(name, scope);
  if (value.is_number_integer() && value.get<std::int64_t>() >= 0) return value.get<std::size_t>();
  fail(ErrorCode::kData, "'{}' between '[' and ']' is {}, expected a number from 0", name, value.dump());
}

}  // namespace

const Json* TemplateScope::find(std::string_view name) const {
  if (columns_.is_object()) {
    const auto found = columns_.find(name);
    if (found != columns_.end()) return &*found;
  }
  return outer_ == nullptr ? nullptr : outer_->find(name);
}

std::vector<std::string> TemplateScope::names() const {
  std::vector<std::string> names;
  if (columns_.is_object()) {
    for (const auto& [name, value] : columns_.items()) names.push_back(name);
  }
  if (outer_ != nullptr) {
    for (std::string& name : outer_->names()) names.push_back(std::move(name));
  }
  return names;
}

std::string TemplateExpression::path() const {
  std::string text = name;
  for (const Step& step : steps) {
    text += !step.variable.empty() ? fmt::format("[{}]", step.variable)
            : step.index           ? fmt::format("[{}]", *step.index)
                                   : "." + step.key;
  }
  return text;
}

const Json* TemplateExpression::find(const TemplateScope& scope) const {
  if (name.empty()) return &literal;
  const Json* value = scope.find(name);
  for (const Step& step : steps) {
    if (value == nullptr) return nullptr;
    if (step.index) {
      value = item_of(*value, *step.index);
    } else if (!step.variable.empty()) {
      value = item_of(*value, index_held_by(step.variable, scope));
    } else {
      const auto found = value->is_object() ? value->find(step.key) : value->end();
      value = value->is_object() && found != value->end() ? &*found : nullptr;
    }
  }
  return value;
}

Json TemplateExpression::filtered(Json value, const TemplateScope& scope) const {
  for (const FilterCall& call : filters) {
    std::vector<std::string> arguments;
    for (const Argument& argument : call.arguments) {
      arguments.push_back(argument.is_name
                              ? template_text(named(argument.text, scope), fmt::format("'{}'", argument.text))
                              : argument.text);
    }
    value = apply_filter(call.name, arguments, std::move(value), path());
  }
  return value;
}

Json TemplateExpression::value(const TemplateScope& scope) const {
  const Json* found = find(scope);
  if (found != nullptr) return filtered(*found, scope);
  (void)named(name, scope);
  fail(ErrorCode::kData, "the row has no '{}'", path());
}

bool TemplateExpression::holds(const TemplateScope& scope) const {
  const Json* found = find(scope);
  if (found == nullptr || found->is_null()) return false;
  const Json value = filtered(*found, scope);
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();
}

bool TemplateCondition::holds(const TemplateScope& scope) const {
  return std::all_of(terms.begin(), terms.end(), [&](const Term& term) {
    if (!term.right) return term.left.holds(scope) != term.negated;
    const std::string left = template_text(term.left.value(scope), "the left side of a comparison");
    if (term.one_of) {
      const Json list = template_list(*term.right, scope);
      const auto is_left = [&](const Json& item) { return template_text(item, "an item of the list") == left; };
      return std::any_of(list.begin(), list.end(), is_left) != term.negated;
    }
    return (left == template_text(term.right->value(scope), "the right side of a comparison")) != term.negated;
  });
}

std::string template_text(const Json& value, std::string_view what) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  fail(ErrorCode::kData, "{} is {}, expected a text or a number", what,
       value.is_null() ? "null" : fmt::format("an {}", value.type_name()));
}

Json template_list(const TemplateExpression& expression, const TemplateScope& scope) {
  Json value = expression.value(scope);
  if (!value.is_array()) fail(ErrorCode::kData, "'{}' is {}, expected a list", expression.name, value.type_name());
  return value;
}

}  // namespace lowbit
