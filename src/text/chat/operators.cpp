#include <algorithm>
#include <cmath>

#include "lowbit/base/error.h"
#include "text/chat/builtins.h"
#include "text/unicode.h"

namespace lowbit::chat {
namespace {

void need_defined(const Value& value) {
  const Undefined* missing = value.get<Undefined>();
  if (missing != nullptr) fail(ErrorCode::kData, "'{}' is not defined", missing->name);
}

[[noreturn]] void cannot_combine(const Value& left, std::string_view sign, const Value& right) {
  fail(ErrorCode::kData, "'{}' cannot join {} and {}", sign, left.kind(), right.kind());
}

std::int64_t whole_result(std::int64_t a, std::string_view sign, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (sign == "+") overflow = __builtin_add_overflow(a, b, &result);
  if (sign == "-") overflow = __builtin_sub_overflow(a, b, &result);
  if (sign == "*") overflow = __builtin_mul_overflow(a, b, &result);
  if (overflow || (a == INT64_MIN && b == -1 && sign != "+" && sign != "-")) {
    fail(ErrorCode::kData, "{} {} {} is too large a number", a, sign, b);
  }
  if (sign == "//") result = a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
  if (sign == "%") result = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
  return result;
}

Value real_result(double a, std::string_view sign, double b) {
  double result = 0;
  if (sign == "+") result = a + b;
  if (sign == "-") result = a - b;
  if (sign == "*") result = a * b;
  if (sign == "/") result = a / b;
  if (sign == "//" || sign == "%") fail(ErrorCode::kData, "'{}' is for whole numbers", sign);
  if (!std::isfinite(result)) fail(ErrorCode::kData, "{} {} {} is too large a number", a, sign, b);
  return Value(result);
}

Value arithmetic(const Value& left, std::string_view sign, const Value& right) {
  const bool divides = sign == "/" || sign == "//" || sign == "%";
  if (divides && right.number() == 0.0) fail(ErrorCode::kData, "'{}' by zero", sign);
  const bool whole = left.integer() != nullptr && right.integer() != nullptr && sign != "/";
  if (whole) return Value(whole_result(*left.integer(), sign, *right.integer()));
  return real_result(left.number(), sign, right.number());
}

Value joined(const std::string& left, const std::string& right, Budget& budget) {
  budget.bytes(left.size() + right.size());
  return Value(left + right);
}

/// -1, 0 or 1.
int order_of(const Value& left, std::string_view sign, const Value& right, Budget& budget) {
  need_defined(left);
  need_defined(right);
  if (left.is_number() && right.is_number()) {
    if (left.integer() != nullptr && right.integer() != nullptr) {
      return (*left.integer() > *right.integer()) - (*left.integer() < *right.integer());
    }
    return (left.number() > right.number()) - (left.number() < right.number());
  }
  // The order of UTF-8 is that of code points.
  if (left.text() != nullptr && right.text() != nullptr) {
    budget.bytes(std::min(left.text()->size(), right.text()->size()));
    return left.text()->compare(*right.text());
  }
  fail(ErrorCode::kData, "'{}' cannot compare {} and {}", sign, left.kind(), right.kind());
}

/// True and false count as 1 and 0.
Value as_number(const Value& value) {
  const bool* flag = value.get<bool>();
  return flag == nullptr ? value : Value(std::int64_t{*flag ? 1 : 0});
}

bool equal_maps(const Map& a, const Map& b, Budget& budget) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    budget.scan(b.entries.size());
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other, budget);
  });
}

/// Where the characters of a text start, and its end.
std::vector<std::size_t> starts_of(std::string_view text) {
  std::vector<std::size_t> starts = {0};
  while (starts.back() < text.size()) starts.push_back(starts.back() + code_point_at(text, starts.back()).size);
  return starts;
}

/// What Python's `slice.indices` gives.
std::vector<std::size_t> slice_indices(std::int64_t length, const Value& start, const Value& stop, const Value& step) {
  const auto given = [](const Value& value) { return !value.is_none() && !value.is_undefined(); };
  const std::int64_t by = given(step) ? integer_argument(step, "a slice") : 1;
  if (by == 0) fail(ErrorCode::kData, "a slice's step cannot be 0");
  const auto place = [&](const Value& value, std::int64_t fallback) {
    if (!given(value)) return fallback;
    std::int64_t index = integer_argument(value, "a slice");
    if (index < 0) index = std::max<std::int64_t>(index, -length - 1) + length;
    return std::clamp<std::int64_t>(index, by < 0 ? -1 : 0, by < 0 ? length - 1 : length);
  };
  const std::int64_t first = place(start, by < 0 ? length - 1 : 0);
  const std::int64_t last = place(stop, by < 0 ? -1 : length);
  const std::int64_t width = std::clamp<std::int64_t>(by, -length - 1, length + 1);
  std::vector<std::size_t> indices;
  for (std::int64_t i = first; width > 0 ? i < last : i > last; i += width) {
    indices.push_back(static_cast<std::size_t>(i));
  }
  return indices;
}

}  // namespace

Value combine(const Value& left, std::string_view sign, const Value& right, Budget& budget) {
  if (sign == "~") return joined(left.written(), right.written(), budget);
  need_defined(left);
  need_defined(right);
  if (left.is_number() && right.is_number()) return arithmetic(left, sign, right);
  if (sign != "+") cannot_combine(left, sign, right);
  if (left.text() != nullptr && right.text() != nullptr) return joined(*left.text(), *right.text(), budget);
  if (left.list() == nullptr || right.list() == nullptr) cannot_combine(left, sign, right);
  std::vector<Value> items = items_of(left, budget);
  const std::vector<Value> more = items_of(right, budget);
  items.insert(items.end(), more.begin(), more.end());
  return Value::list(std::move(items));
}

bool equal(const Value& left, const Value& right, Budget& budget) {
  budget.step();
  const Value a = as_number(left);
  const Value b = as_number(right);
  if (a.is_number() && b.is_number()) {
    const bool whole = a.integer() != nullptr && b.integer() != nullptr;
    return whole ? *a.integer() == *b.integer() : a.number() == b.number();
  }
  if (a.kind() != b.kind()) return false;
  if (const std::string* text = a.text()) {
    budget.bytes(std::min(text->size(), b.text()->size()));
    return *text == *b.text();
  }
  if (const List* list = a.list()) {
    const auto same = [&](const Value& x, const Value& y) { return equal(x, y, budget); };
    const std::vector<Value>& others = b.list()->items;
    return std::equal(list->items.begin(), list->items.end(), others.begin(), others.end(), same);
  }
  if (const Map* map = a.map()) return equal_maps(*map, *b.map(), budget);
  if (const Namespace* held = a.name_space()) return held == b.name_space();
  if (const Function* function = a.get<Function>()) return function->name == b.get<Function>()->name;
  return true;
}

bool compare(const Value& left, std::string_view sign, const Value& right, Budget& budget) {
  if (sign == "==") return equal(left, right, budget);
  if (sign == "!=") return !equal(left, right, budget);
  if (sign == "in") return contains(right, left, budget);
  if (sign == "not in") return !contains(right, left, budget);
  const int order = order_of(left, sign, right, budget);
  if (sign == "<") return order < 0;
  if (sign == "<=") return order <= 0;
  return sign == ">" ? order > 0 : order >= 0;
}

bool contains(const Value& whole, const Value& part, Budget& budget) {
  if (whole.is_undefined()) return false;
  if (const List* list = whole.list()) {
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& item) { return equal(item, part, budget); });
  }
  const std::string* key = part.text();
  if (const Map* map = whole.map()) {
    budget.scan(map->entries.size());
    return key != nullptr && map->find(*key) != nullptr;
  }
  if (whole.text() == nullptr || key == nullptr) {
    fail(ErrorCode::kData, "'in' cannot look for {} in {}", part.kind(), whole.kind());
  }
  budget.search(whole.text()->size(), key->size());
  return whole.text()->find(*key) != std::string::npos;
}

Value member_of(const Value& value, const std::string& name, Budget& budget) {
  need_defined(value);
  const Map* members = value.map();
  if (const Namespace* held = value.name_space()) members = &held->members;
  if (members != nullptr) budget.scan(members->entries.size());
  const Value* found = members == nullptr ? nullptr : members->find(name);
  return found == nullptr ? Value(Undefined{name}) : *found;
}

Value item_of(const Value& value, const Value& key, Budget& budget) {
  need_defined(value);
  if (const std::string* name = key.text()) return member_of(value, *name, budget);
  const std::int64_t* given = key.integer();
  const List* list = value.list();
  if (given == nullptr || (list == nullptr && value.text() == nullptr)) return Value(Undefined{key.written()});
  budget.bytes(value.text() == nullptr ? 0 : value.text()->size());
  const std::vector<std::size_t> starts = list == nullptr ? starts_of(*value.text()) : std::vector<std::size_t>{};
  const auto length = static_cast<std::int64_t>(list == nullptr ? starts.size() - 1 : list->items.size());
  const std::int64_t index = *given < 0 ? *given + length : *given;
  if (index < 0 || index >= length) return Value(Undefined{key.written()});
  const auto place = static_cast<std::size_t>(index);
  if (list != nullptr) return list->items[place];
  return Value(value.text()->substr(starts[place], starts[place + 1] - starts[place]));
}

Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  need_defined(value);
  if (value.list() == nullptr && value.text() == nullptr) fail(ErrorCode::kData, "{} cannot be sliced", value.kind());
  if (const std::string* text = value.text()) {
    budget.bytes(text->size() * sizeof(std::size_t));
    const std::vector<std::size_t> starts = starts_of(*text);
    std::string result;
    for (const std::size_t i : slice_indices(static_cast<std::int64_t>(starts.size()) - 1, start, stop, step)) {
      result.append(*text, starts[i], starts[i + 1] - starts[i]);
    }
    return Value(std::move(result));
  }
  const std::vector<Value>& items = value.list()->items;
  std::vector<Value> result;
  for (const std::size_t i : slice_indices(static_cast<std::int64_t>(items.size()), start, stop, step)) {
    result.push_back(items[i]);
  }
  budget.bytes(result.size() * sizeof(Value));
  return Value::list(std::move(result));
}

std::vector<Value> items_of(const Value& value, Budget& budget) {
  std::vector<Value> items;
  if (const List* list = value.list()) {
    items = list->items;
  } else if (const Map* map = value.map()) {
    for (const auto& [key, item] : map->entries) items.emplace_back(key);
  } else if (const std::string* text = value.text()) {
    budget.bytes(text->size() * sizeof(Value));
    const std::vector<std::size_t> starts = starts_of(*text);
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      items.emplace_back(text->substr(starts[i], starts[i + 1] - starts[i]));
    }
  } else if (!value.is_undefined()) {
    fail(ErrorCode::kData, "{} has no items to go through", value.kind());
  }
  budget.bytes(items.size() * sizeof(Value));
  return items;
}

Value length_of(const Value& value) {
  std::size_t length = 0;
  if (const std::string* text = value.text()) {
    length = static_cast<std::size_t>(std::count_if(
        text->begin(), text->end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
  } else if (const Map* map = value.map()) {
    length = map->entries.size();
  } else if (const List* list = value.list(); list != nullptr && !list->lazy) {
    length = list->items.size();
  } else if (!value.is_undefined()) {
    fail(ErrorCode::kData, "{} has no length{}", value.kind(), list == nullptr ? "" : " before '| list'");
  }
  return Value(static_cast<std::int64_t>(length));
}

}  // namespace lowbit::chat
