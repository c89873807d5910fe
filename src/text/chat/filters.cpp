#include <algorithm>
#include <charconv>

#include "lowbit/base/error.h"
#include "text/chat/builtins.h"
#include "text/python_blanks.h"

namespace lowbit::chat {
namespace {

using Bound = std::vector<const Value*>;

constexpr std::int64_t kMaxIndent = 16;

/// As Jinja's filters of texts read any value.
std::string text_of(const Value& value, Budget& budget) {
  std::string text = value.written();
  budget.bytes(text.size());
  return text;
}

Value default_filter(const Value& value, const Bound& arguments) {
  const bool falsy = arguments[1] != nullptr && arguments[1]->truth();
  const bool missing = value.is_undefined() || (falsy && !value.truth());
  if (!missing) return value;
  return arguments[0] == nullptr ? Value(std::string()) : *arguments[0];
}

Value join_filter(const Value& value, const Bound& arguments, Budget& budget) {
  const std::string separator = arguments[0] == nullptr ? "" : arguments[0]->written();
  std::string joined;
  bool first = true;
  for (const Value& item : items_of(value, budget)) {
    budget.bytes(separator.size());
    if (!first) joined += separator;
    joined += text_of(arguments[1] == nullptr ? item : item_of(item, *arguments[1], budget), budget);
    first = false;
  }
  return Value(std::move(joined));
}

Value end_item(const Value& value, bool first, Budget& budget) {
  const std::vector<Value> items = items_of(value, budget);
  if (items.empty()) return Value(Undefined{first ? "first" : "last"});
  return first ? items.front() : items.back();
}

Value reversed(const Value& value, Budget& budget) {
  if (value.text() != nullptr) return slice_of(value, Value(None{}), Value(None{}), Value(std::int64_t{-1}), budget);
  std::vector<Value> items = items_of(value, budget);
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items), true);
}

Value to_integer(const Value& value, const Bound& arguments) {
  if (value.integer() != nullptr) return value;
  if (const bool* flag = value.get<bool>()) return Value(std::int64_t{*flag ? 1 : 0});
  if (const double* real = value.get<double>(); real != nullptr && *real > -9e18 && *real < 9e18) {
    return Value(static_cast<std::int64_t>(*real));
  }
  if (const std::string* text = value.text()) {
    const std::string_view digits = trim_start(trim_end(*text));
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc{} && end == digits.data() + digits.size()) return Value(number);
  }
  return arguments[0] == nullptr ? Value(std::int64_t{0}) : *arguments[0];
}

Value tojson_filter(const Value& value, const Bound& arguments, Budget& budget) {
  std::int64_t indent = -1;
  if (arguments[0] != nullptr && !arguments[0]->is_none()) {
    indent = integer_argument(*arguments[0], "the indent of 'tojson'");
    if (indent < 0 || indent > kMaxIndent) {
      fail(ErrorCode::kData, "the indent of 'tojson' is {}, expected 0 to {}", indent, kMaxIndent);
    }
  }
  std::string text = to_json(value, indent, Budget::kMaxBytes / 4);
  budget.bytes(text.size());
  return Value(std::move(text));
}

Value items_filter(const Value& value) {
  if (value.is_undefined()) return Value::list({}, true);
  if (value.map() == nullptr) fail(ErrorCode::kData, "'items' needs a map, got {}", value.kind());
  return call_map_method(*value.map(), "items", {});
}

/// `map(attribute="x")`, or `map("filter", its arguments)`.
Value map_filter(const Value& value, const Arguments& arguments, Budget& budget) {
  std::vector<Value> results;
  if (arguments.values.empty()) {
    const Bound bound = arguments.bind("map", {"attribute", "default"});
    const Value name(text_argument(bound[0], "map"));
    for (const Value& item : items_of(value, budget)) {
      results.push_back(item_of(item, name, budget));
      if (results.back().is_undefined() && bound[1] != nullptr) results.back() = *bound[1];
    }
    return Value::list(std::move(results), true);
  }
  Arguments rest = arguments;
  const std::string name = text_argument(&arguments.values.front(), "map");
  rest.values.erase(rest.values.begin());
  if (name == "map") fail(ErrorCode::kData, "'map' of 'map' is not supported in chat templates");
  for (const Value& item : items_of(value, budget)) {
    budget.step();
    results.push_back(apply_filter(name, item, rest, budget));
  }
  return Value::list(std::move(results), true);
}

/// `select(test, its argument)`, and `selectattr(attribute, test, its argument)`; without a test by truth.
Value select_filter(const std::string& filter, const Value& value, const Arguments& arguments, Budget& budget) {
  const bool by_attribute = filter.ends_with("attr");
  const bool wanted = filter.starts_with("select");
  Arguments rest = arguments;
  const auto take = [&] {
    std::string text = text_argument(rest.values.empty() ? nullptr : &rest.values.front(), filter);
    rest.values.erase(rest.values.begin());
    return text;
  };
  const std::string attribute = by_attribute ? take() : "";
  const std::string test = rest.values.empty() ? "" : take();
  std::vector<Value> kept;
  for (const Value& item : items_of(value, budget)) {
    budget.step();
    const Value tested = by_attribute ? item_of(item, Value(attribute), budget) : item;
    if ((test.empty() ? tested.truth() : apply_test(test, tested, rest, budget)) == wanted) kept.push_back(item);
  }
  return Value::list(std::move(kept), true);
}

struct Filter {
  std::string_view name;
  std::vector<std::string_view> parameters;
  Value (*call)(const Value&, const Bound&, Budget&);
};

Value text_filter(const Value& value, std::string_view form, Budget& budget) {
  return Value(with_case(text_of(value, budget), form));
}

const std::vector<Filter>& filters() {
  using In = const Value&;
  using Args = const Bound&;
  static const std::vector<Filter> all = {
      {"trim",
       {"chars"},
       [](In v, Args a, Budget& b) { return Value(std::string(stripped(text_of(v, b), a[0], true, true, b))); }},
      {"tojson", {"indent"}, [](In v, Args a, Budget& b) { return tojson_filter(v, a, b); }},
      {"length", {}, [](In v, Args, Budget&) { return length_of(v); }},
      {"count", {}, [](In v, Args, Budget&) { return length_of(v); }},
      {"default", {"default_value", "boolean"}, [](In v, Args a, Budget&) { return default_filter(v, a); }},
      {"d", {"default_value", "boolean"}, [](In v, Args a, Budget&) { return default_filter(v, a); }},
      {"join", {"d", "attribute"}, [](In v, Args a, Budget& b) { return join_filter(v, a, b); }},
      {"upper", {}, [](In v, Args, Budget& b) { return text_filter(v, "upper", b); }},
      {"lower", {}, [](In v, Args, Budget& b) { return text_filter(v, "lower", b); }},
      {"capitalize", {}, [](In v, Args, Budget& b) { return text_filter(v, "capitalize", b); }},
      {"title", {}, [](In v, Args, Budget& b) { return text_filter(v, "title filter", b); }},
      {"replace",
       {"old", "new", "count"},
       [](In v, Args a, Budget& b) { return Value(replaced(text_of(v, b), a, b)); }},
      {"first", {}, [](In v, Args, Budget& b) { return end_item(v, true, b); }},
      {"last", {}, [](In v, Args, Budget& b) { return end_item(v, false, b); }},
      {"list", {}, [](In v, Args, Budget& b) { return Value::list(items_of(v, b)); }},
      {"string", {}, [](In v, Args, Budget& b) { return Value(text_of(v, b)); }},
      {"safe", {}, [](In v, Args, Budget& b) { return Value(text_of(v, b)); }},
      {"int", {"default"}, [](In v, Args a, Budget&) { return to_integer(v, a); }},
      {"items", {}, [](In v, Args, Budget&) { return items_filter(v); }},
      {"reverse", {}, [](In v, Args, Budget& b) { return reversed(v, b); }},
  };
  return all;
}

}  // namespace

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments, Budget& budget) {
  if (name == "map") return map_filter(value, arguments, budget);
  if (name == "select" || name == "reject" || name == "selectattr" || name == "rejectattr") {
    return select_filter(name, value, arguments, budget);
  }
  for (const Filter& filter : filters()) {
    if (filter.name == name) return filter.call(value, arguments.bind(name, filter.parameters), budget);
  }
  fail(ErrorCode::kData, "the filter '{}' is not supported in chat templates", name);
}

}  // namespace lowbit::chat
