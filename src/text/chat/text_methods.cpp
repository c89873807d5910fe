#include <algorithm>

#include "lowbit/base/error.h"
#include "text/chat/builtins.h"
#include "text/python_blanks.h"
#include "text/unicode.h"

namespace lowbit::chat {
namespace {

using Bound = std::vector<const Value*>;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); }
char upper(char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); }

Value list_of(const std::vector<std::string_view>& parts, Budget& budget) {
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    budget.bytes(part.size() + sizeof(Value));
    items.emplace_back(std::string(part));
  }
  return Value::list(std::move(items));
}

/// At blanks; `most` is the number of cuts, below 0 without end.
std::vector<std::string_view> words_of(std::string_view text, std::int64_t most) {
  std::vector<std::string_view> words;
  for (text = trim_start(text); !text.empty(); text = trim_start(text)) {
    if (most >= 0 && static_cast<std::int64_t>(words.size()) == most) {
      words.push_back(text);
      break;
    }
    std::size_t end = 0;
    while (end < text.size() && !is_python_space(code_point_at(text, end).value)) end += code_point_at(text, end).size;
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

std::vector<std::string_view> parts_between(std::string_view text, std::string_view separator, std::int64_t most) {
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = text.find(separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> parts_from_end(std::string_view text, std::string_view separator, std::int64_t most) {
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = text.rfind(separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split(const std::string& text, const Bound& arguments, bool from_end, Budget& budget) {
  const char* callee = from_end ? "rsplit" : "split";
  const std::int64_t most = arguments[1] == nullptr ? -1 : integer_argument(*arguments[1], callee);
  if (arguments[0] == nullptr || arguments[0]->is_none()) {
    if (from_end && most >= 0) fail(ErrorCode::kData, "'rsplit' at blanks cannot have a number of cuts");
    return list_of(words_of(text, most), budget);
  }
  const std::string& separator = text_argument(arguments[0], callee);
  if (separator.empty()) fail(ErrorCode::kData, "'{}' needs a separator that is not empty", callee);
  budget.search(text.size(), separator.size());
  return list_of(from_end ? parts_from_end(text, separator, most) : parts_between(text, separator, most), budget);
}

/// One text, or a list of them.
bool has_affix(const std::string& text, const Value* affix, bool at_start) {
  if (affix != nullptr && affix->list() != nullptr) {
    const std::vector<Value>& items = affix->list()->items;
    return std::any_of(items.begin(), items.end(), [&](const Value& item) { return has_affix(text, &item, at_start); });
  }
  const std::string& part = text_argument(affix, at_start ? "startswith" : "endswith");
  return at_start ? text.starts_with(part) : text.ends_with(part);
}

Value without_affix(const std::string& text, const Bound& arguments, bool at_start) {
  const std::string& part = text_argument(arguments[0], at_start ? "removeprefix" : "removesuffix");
  if (at_start) return Value(text.starts_with(part) ? text.substr(part.size()) : text);
  return Value(text.ends_with(part) ? text.substr(0, text.size() - part.size()) : text);
}

/// In characters; -1 for what is not there.
Value place_in(const std::string& text, const Bound& arguments, Budget& budget) {
  const std::string& part = text_argument(arguments[0], "find");
  budget.search(text.size(), part.size());
  const std::size_t found = text.find(part);
  if (found == std::string::npos) return Value(std::int64_t{-1});
  return length_of(Value(text.substr(0, found)));
}

Value occurrences(const std::string& text, const Bound& arguments, Budget& budget) {
  const std::string& part = text_argument(arguments[0], "count");
  if (part.empty()) fail(ErrorCode::kData, "'count' needs a text that is not empty");
  budget.search(text.size(), part.size());
  return Value(static_cast<std::int64_t>(parts_between(text, part, -1).size()) - 1);
}

struct Method {
  std::string_view name;
  std::vector<std::string_view> parameters;
  Value (*call)(const std::string&, const Bound&, Budget&);
};

Value strip_method(const std::string& text, const Bound& arguments, bool start, bool end, Budget& budget) {
  return Value(std::string(stripped(text, arguments[0], start, end, budget)));
}

const std::vector<Method>& methods() {
  using Text = const std::string&;
  using Args = const Bound&;
  static const std::vector<Method> all = {
      {"strip", {"chars"}, [](Text t, Args a, Budget& b) { return strip_method(t, a, true, true, b); }},
      {"lstrip", {"chars"}, [](Text t, Args a, Budget& b) { return strip_method(t, a, true, false, b); }},
      {"rstrip", {"chars"}, [](Text t, Args a, Budget& b) { return strip_method(t, a, false, true, b); }},
      {"split", {"sep", "maxsplit"}, [](Text t, Args a, Budget& b) { return split(t, a, false, b); }},
      {"rsplit", {"sep", "maxsplit"}, [](Text t, Args a, Budget& b) { return split(t, a, true, b); }},
      {"startswith", {"prefix"}, [](Text t, Args a, Budget&) { return Value(has_affix(t, a[0], true)); }},
      {"endswith", {"suffix"}, [](Text t, Args a, Budget&) { return Value(has_affix(t, a[0], false)); }},
      {"removeprefix", {"prefix"}, [](Text t, Args a, Budget&) { return without_affix(t, a, true); }},
      {"removesuffix", {"suffix"}, [](Text t, Args a, Budget&) { return without_affix(t, a, false); }},
      {"replace", {"old", "new", "count"}, [](Text t, Args a, Budget& b) { return Value(replaced(t, a, b)); }},
      {"find", {"sub"}, [](Text t, Args a, Budget& b) { return place_in(t, a, b); }},
      {"count", {"sub"}, [](Text t, Args a, Budget& b) { return occurrences(t, a, b); }},
      {"upper", {}, [](Text t, Args, Budget&) { return Value(with_case(t, "upper")); }},
      {"lower", {}, [](Text t, Args, Budget&) { return Value(with_case(t, "lower")); }},
      {"capitalize", {}, [](Text t, Args, Budget&) { return Value(with_case(t, "capitalize")); }},
      {"title", {}, [](Text t, Args, Budget&) { return Value(with_case(t, "title")); }},
  };
  return all;
}

}  // namespace

const std::string& text_argument(const Value* value, std::string_view callee) {
  if (value == nullptr) fail(ErrorCode::kData, "'{}' lacks an argument", callee);
  if (value->text() == nullptr) fail(ErrorCode::kData, "'{}' needs a text, got {}", callee, value->kind());
  return *value->text();
}

std::int64_t integer_argument(const Value& value, std::string_view callee) {
  if (value.integer() == nullptr) fail(ErrorCode::kData, "{} needs a whole number, got {}", callee, value.kind());
  return *value.integer();
}

std::string_view stripped(std::string_view text, const Value* characters, bool start, bool end, Budget& budget) {
  if (characters == nullptr || characters->is_none()) {
    if (start) text = trim_start(text);
    return end ? trim_end(text) : text;
  }
  const std::string_view set = text_argument(characters, "strip");
  budget.search(text.size(), set.size());
  const auto taken = [&](std::size_t position, std::size_t size) {
    return set.find(text.substr(position, size)) != std::string_view::npos;
  };
  while (start && !text.empty() && taken(0, code_point_at(text, 0).size))
    text.remove_prefix(code_point_at(text, 0).size);
  while (end && !text.empty()) {
    const std::size_t last = previous_position(text, text.size());
    if (!taken(last, text.size() - last)) break;
    text = text.substr(0, last);
  }
  return text;
}

std::string replaced(const std::string& text, const std::vector<const Value*>& arguments, Budget& budget) {
  const std::string& from = text_argument(arguments[0], "replace");
  const std::string& to = text_argument(arguments[1], "replace");
  const bool counted = arguments[2] != nullptr && !arguments[2]->is_none();
  const std::int64_t most = counted ? integer_argument(*arguments[2], "'replace'") : -1;
  if (from.empty()) fail(ErrorCode::kData, "'replace' needs a text that is not empty");
  budget.search(text.size(), from.size());
  std::string result;
  bool first = true;
  for (const std::string_view part : parts_between(text, from, most)) {
    budget.bytes(part.size() + to.size());
    if (!first) result += to;
    result += part;
    first = false;
  }
  return result;
}

std::string with_case(std::string_view text, std::string_view form) {
  static constexpr std::string_view kWordStarts = " \t\n\r\v\f-({[<";
  std::string result(text);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (static_cast<unsigned char>(result[i]) >= 0x80) {
      fail(ErrorCode::kData, "'{}' of a chat template is for ASCII alone, got '{}'", form, text);
    }
    const bool word_start = form == "title filter" ? i == 0 || kWordStarts.find(text[i - 1]) != std::string_view::npos
                                                   : i == 0 || !is_letter(text[i - 1]);
    const bool raise = form == "upper" || (form == "capitalize" && i == 0) || (form.starts_with("title") && word_start);
    result[i] = raise ? upper(result[i]) : lower(result[i]);
  }
  return result;
}

Value call_text_method(const std::string& text, const std::string& name, const Arguments& arguments, Budget& budget) {
  budget.bytes(text.size());
  for (const Method& method : methods()) {
    if (method.name == name) return method.call(text, arguments.bind(name, method.parameters), budget);
  }
  fail(ErrorCode::kData, "the method '{}' of texts is not supported in chat templates", name);
}

}  // namespace lowbit::chat
