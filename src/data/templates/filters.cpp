#include "data/templates/filters.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "data/unicode_text.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

using Arguments = std::vector<std::string>;

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (!from.empty()) {
    const std::size_t at = text.find(from);
    if (at == std::string_view::npos) break;
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

// "[header] text" -> " text": as the regular expression \[.*?\] deletes, which does not go over a line end.
std::string without_brackets(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t open = text.find('[');
    const std::size_t close = open == std::string_view::npos ? open : text.find_first_of("]\n", open);
    if (close == std::string_view::npos) return out.append(text);
    const bool closed = text[close] == ']';
    out.append(text.substr(0, closed ? open : open + 1));
    text.remove_prefix(closed ? close + 1 : open + 1);
  }
}

std::string with_single_blanks(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const char shown = c == '\t' ? ' ' : c;
    if (shown != ' ' || out.empty() || out.back() != ' ') out += shown;
  }
  return out;
}

Json split(std::string_view text, std::string_view separator) {
  Json parts = Json::array();
  while (!separator.empty()) {
    const std::size_t at = text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(std::string(text.substr(0, at)));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(std::string(text));
  return parts;
}

// The text before or after the first or last mark; all of it before, and nothing after, a mark that is not there.
std::string part(const std::string& text, const std::string& mark, bool after, bool last) {
  const std::size_t at = last ? text.rfind(mark) : text.find(mark);
  if (at == std::string::npos) return after ? "" : text;
  return after ? text.substr(at + mark.size()) : text.substr(0, at);
}

std::string without_prefix(const std::string& text, const std::string& prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}
std::string without_suffix(const std::string& text, const std::string& suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

using TextFilter = std::function<Json(const std::string&, const Arguments&)>;

struct TextEntry {
  FilterInfo info;
  TextFilter apply;
};

const std::vector<TextEntry>& text_entries() {
  static const std::vector<TextEntry> entries = {
      {{"trim", 0, "without white space at both ends"},
       [](const std::string& t, const Arguments&) { return Json(trim_end(trim_start(t))); }},
      {{"trim_start", 0, "without white space at the start"},
       [](const std::string& t, const Arguments&) { return Json(trim_start(t)); }},
      {{"trim_end", 0, "without white space at the end"},
       [](const std::string& t, const Arguments&) { return Json(trim_end(t)); }},
      {{"lower", 0, "in lower case"}, [](const std::string& t, const Arguments&) { return Json(lower_case(t)); }},
      {{"capitalize", 0, "the first letter in upper case, all others in lower case"},
       [](const std::string& t, const Arguments&) { return Json(capitalized(t)); }},
      {{"lower_first", 0, "the first letter in lower case"},
       [](const std::string& t, const Arguments&) { return Json(with_lower_first(t)); }},
      {{"replace", 2, "each occurrence of the first text replaced by the second"},
       [](const std::string& t, const Arguments& a) { return Json(replaced(t, a[0], a[1])); }},
      {{"single_blanks", 0, "with each run of blanks and tabs as one blank"},
       [](const std::string& t, const Arguments&) { return Json(with_single_blanks(t)); }},
      {{"without_brackets", 0, "without what stands in square brackets"},
       [](const std::string& t, const Arguments&) { return Json(without_brackets(t)); }},
      {{"without_prefix", 1, "without that beginning"},
       [](const std::string& t, const Arguments& a) { return Json(without_prefix(t, a[0])); }},
      {{"without_suffix", 1, "without that end"},
       [](const std::string& t, const Arguments& a) { return Json(without_suffix(t, a[0])); }},
      {{"before", 1, "what stands before the first occurrence"},
       [](const std::string& t, const Arguments& a) { return Json(part(t, a[0], false, false)); }},
      {{"after", 1, "what stands after the first occurrence"},
       [](const std::string& t, const Arguments& a) { return Json(part(t, a[0], true, false)); }},
      {{"before_last", 1, "what stands before the last occurrence"},
       [](const std::string& t, const Arguments& a) { return Json(part(t, a[0], false, true)); }},
      {{"after_last", 1, "what stands after the last occurrence"},
       [](const std::string& t, const Arguments& a) { return Json(part(t, a[0], true, true)); }},
      {{"split", 1, "the list of what stands between the occurrences"},
       [](const std::string& t, const Arguments& a) { return split(t, a[0]); }},
  };
  return entries;
}

constexpr FilterInfo kListFilters[] = {
    {"join", 1, "a list's texts with that between them"},
    {"first", 0, "a list's first item"},
    {"last", 0, "a list's last item"},
    {"from", 1, "a list without its first so many items, or a text without characters"},
    {"to", 1, "only a list's first so many items, or a text's characters"},
    {"size", 0, "how many items a list has, or characters a text"},
    {"sum_above", 1, "whether a list's numbers add up to more than that"}};

/// A number, or a text that is one and nothing else.
std::optional<double> number_in(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const std::string& text = value.get_ref<const std::string&>();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Json> sum_above(const Json& list, const std::string& bound) {
  double sum = 0;
  for (const Json& item : list) {
    const std::optional<double> number = number_in(item);
    if (!number) return std::nullopt;
    sum += *number;
  }
  const std::optional<double> most = number_in(bound);
  if (!most) fail(ErrorCode::kData, "the filter 'sum_above' takes a number, not '{}'", bound);
  return Json(sum > *most);
}

std::size_t whole_number(std::string_view filter, const std::string& text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  fail(ErrorCode::kData, "the filter '{}' takes a number from 0, not '{}'", filter, text);
}

/// `from` and `to` of a text.
Json characters(std::string_view filter, const std::string& text, const std::string& count) {
  const std::string_view first = first_characters(text, whole_number(filter, count));
  return Json(filter == "to" ? std::string(first) : text.substr(first.size()));
}

std::optional<Json> list_filter(std::string_view name, const Arguments& arguments, const Json& list) {
  if (name == "join") {
    std::string text;
    for (const Json& item : list) {
      if (&item != &list.front()) text += arguments[0];
      if (!item.is_string()) return std::nullopt;
      text += item.get_ref<const std::string&>();
    }
    return Json(text);
  }
  if (name == "size") return Json(list.size());
  if (name == "sum_above") return sum_above(list, arguments[0]);
  if (name == "first" || name == "last") {
    if (list.empty()) return std::nullopt;
    return name == "first" ? list.front() : list.back();
  }
  const std::size_t count = whole_number(name, arguments[0]);
  const auto middle = list.begin() + static_cast<std::ptrdiff_t>(std::min(count, list.size()));
  Json part = Json::array();
  std::copy(name == "from" ? middle : list.begin(), name == "from" ? list.end() : middle, std::back_inserter(part));
  return part;
}

}  // namespace

const std::vector<FilterInfo>& template_filters() {
  static const std::vector<FilterInfo> all = [] {
    std::vector<FilterInfo> infos;
    for (const TextEntry& entry : text_entries()) infos.push_back(entry.info);
    infos.insert(infos.end(), std::begin(kListFilters), std::end(kListFilters));
    return infos;
  }();
  return all;
}

Json apply_filter(std::string_view name, const Arguments& arguments, Json value, std::string_view origin) {
  const auto named = [&](const TextEntry& entry) { return entry.info.name == name; };
  const auto found = std::find_if(text_entries().begin(), text_entries().end(), named);
  if (found != text_entries().end()) {
    if (value.is_string()) return found->apply(value.get_ref<const std::string&>(), arguments);
    fail(ErrorCode::kData, "'{}' is {}, and the filter '{}' takes a text", origin, value.type_name(), name);
  }
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (name == "size") return count_characters(text);
    if (name == "from" || name == "to") return characters(name, text, arguments[0]);
  }
  std::optional<Json> result;
  if (value.is_array()) result = list_filter(name, arguments, value);
  if (result) return *std::move(result);
  const bool numbers = name == "sum_above";
  const std::string_view items =
      numbers ? "a list with items that are no numbers" : "a list with items that are no texts";
  fail(ErrorCode::kData, "'{}' is {}, and the filter '{}' takes a list{}", origin,
       !value.is_array() ? value.type_name()
       : value.empty()   ? "an empty list"
                         : items,
       name,
       name == "join"                      ? " of texts"
       : name == "first" || name == "last" ? " with items"
       : numbers                           ? " of numbers"
                                           : "");
}

}  // namespace lowbit
