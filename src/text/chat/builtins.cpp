#include "text/chat/builtins.h"

#include <algorithm>
#include <array>

#include "lowbit/base/error.h"

namespace lowbit::chat {
namespace {

std::vector<const Value*> one_argument(const std::string& test, const Arguments& arguments) {
  std::vector<const Value*> bound = arguments.bind(test, {"other"});
  if (bound[0] == nullptr) fail(ErrorCode::kData, "the test '{}' needs something to compare with", test);
  return bound;
}

std::int64_t whole(const std::string& test, const Value& value) {
  return integer_argument(value, fmt::format("the test '{}'", test));
}

struct Test {
  std::string_view name;
  bool (*holds)(const Value& value);
};

constexpr std::array<Test, 14> kTests = {{
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is_none(); }},
    {"boolean", [](const Value& v) { return v.get<bool>() != nullptr; }},
    {"true", [](const Value& v) { return v.get<bool>() != nullptr && *v.get<bool>(); }},
    {"false", [](const Value& v) { return v.get<bool>() != nullptr && !*v.get<bool>(); }},
    {"string", [](const Value& v) { return v.text() != nullptr; }},
    {"mapping", [](const Value& v) { return v.map() != nullptr; }},
    {"integer", [](const Value& v) { return v.integer() != nullptr; }},
    {"float", [](const Value& v) { return v.get<double>() != nullptr; }},
    {"number", [](const Value& v) { return v.is_number() || v.get<bool>() != nullptr; }},
    {"sequence",
     [](const Value& v) {
       return v.text() != nullptr || v.map() != nullptr || v.is_undefined() || (v.list() != nullptr && !v.list()->lazy);
     }},
    {"iterable",
     [](const Value& v) {
       return v.text() != nullptr || v.map() != nullptr || v.list() != nullptr || v.is_undefined();
     }},
    {"callable", [](const Value& v) { return v.get<Function>() != nullptr; }},
}};

}  // namespace

void Budget::step(std::size_t count) {
  steps_ += count;
  if (steps_ > kMaxSteps) fail(ErrorCode::kData, "the template takes more than {} steps", kMaxSteps);
}

void Budget::bytes(std::size_t count) {
  bytes_ += count;
  if (bytes_ > kMaxBytes) fail(ErrorCode::kData, "the template makes more than {} bytes of texts and lists", kMaxBytes);
}

void Budget::search(std::size_t whole, std::size_t part) {
  bytes(whole);
  step((whole / 256) * (part / 64));
}

std::vector<const Value*> Arguments::bind(std::string_view callee, const std::vector<std::string_view>& names) const {
  std::vector<const Value*> bound(names.size(), nullptr);
  if (values.size() > names.size()) {
    fail(ErrorCode::kData, "'{}' takes {} arguments at most, got {}", callee, names.size(), values.size());
  }
  for (std::size_t i = 0; i < values.size(); ++i) bound[i] = &values[i];
  for (const auto& [name, value] : named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail(ErrorCode::kData, "'{}' takes no argument '{}'", callee, name);
    const Value*& place = bound[static_cast<std::size_t>(found - names.begin())];
    if (place != nullptr) fail(ErrorCode::kData, "'{}' is given '{}' twice", callee, name);
    place = &value;
  }
  return bound;
}

Value call_map_method(const Map& map, const std::string& name, const Arguments& arguments) {
  if (name == "get") {
    const auto bound = arguments.bind(name, {"key", "default"});
    const Value* found = map.find(text_argument(bound[0], name));
    if (found != nullptr) return *found;
    return bound[1] == nullptr ? Value(None{}) : *bound[1];
  }
  if (name != "items" && name != "keys" && name != "values") {
    fail(ErrorCode::kData, "the method '{}' of maps is not supported in chat templates", name);
  }
  (void)arguments.bind(name, {});
  std::vector<Value> items;
  for (const auto& [key, value] : map.entries) {
    if (name == "keys") items.emplace_back(key);
    if (name == "values") items.push_back(value);
    if (name == "items") items.push_back(Value::list({Value(key), value}));
  }
  return Value::list(std::move(items));
}

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments, Budget& budget) {
  for (const Test& test : kTests) {
    if (test.name != name) continue;
    (void)arguments.bind(name, {});
    return test.holds(value);
  }
  if (name == "equalto" || name == "eq" || name == "==") return equal(value, *one_argument(name, arguments)[0], budget);
  if (name == "ne") return !equal(value, *one_argument(name, arguments)[0], budget);
  if (name == "in") return contains(*one_argument(name, arguments)[0], value, budget);
  if (name == "even" || name == "odd") {
    (void)arguments.bind(name, {});
    return (whole(name, value) % 2 == 0) == (name == "even");
  }
  if (name == "divisibleby") {
    const std::int64_t by = whole(name, *one_argument(name, arguments)[0]);
    if (by == 0) fail(ErrorCode::kData, "the test 'divisibleby' cannot divide by 0");
    return by == -1 || whole(name, value) % by == 0;
  }
  fail(ErrorCode::kData, "the test '{}' is not supported in chat templates", name);
}

}  // namespace lowbit::chat
