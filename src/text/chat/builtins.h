#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat/value.h"

namespace lowbit::chat {

/// What a template may use up. Both throw `kData` when that is reached.
class Budget {
 public:
  static constexpr std::size_t kMaxSteps = std::size_t{1} << 20;
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 26;  ///< of all texts and lists that it makes, together
  void step(std::size_t count = 1);
  void bytes(std::size_t count);
  /// Of a walk over members or variables one by one.
  void scan(std::size_t entries) { step(entries / 8); }
  /// Of looking for `part` bytes in `whole` ones, which in the worst case compares each with each.
  void search(std::size_t whole, std::size_t part);

 private:
  std::size_t steps_ = 0;
  std::size_t bytes_ = 0;
};

/// What a function, method, filter or test is called with.
struct Arguments {
  std::vector<Value> values = {};
  std::vector<std::pair<std::string, Value>> named = {};
  /// One for each name, null where it is not given. Throws `kData` for what `callee` does not take.
  [[nodiscard]] std::vector<const Value*> bind(std::string_view callee,
                                               const std::vector<std::string_view>& names) const;
};

// Throw `kData` for names that are not known, and for values that cannot be had so. Texts are counted in characters.
[[nodiscard]] Value call_text_method(const std::string& text, const std::string& name, const Arguments& arguments,
                                     Budget& budget);
[[nodiscard]] Value call_map_method(const Map& map, const std::string& name, const Arguments& arguments);
[[nodiscard]] Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments,
                                 Budget& budget);
[[nodiscard]] bool apply_test(const std::string& name, const Value& value, const Arguments& arguments, Budget& budget);

/// Python's `value.name`, `value[key]` and `value[start:stop:step]`.
[[nodiscard]] Value member_of(const Value& value, const std::string& name, Budget& budget);
[[nodiscard]] Value item_of(const Value& value, const Value& key, Budget& budget);
[[nodiscard]] Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step,
                             Budget& budget);
/// What a loop over the value goes through: items, keys, characters.
[[nodiscard]] std::vector<Value> items_of(const Value& value, Budget& budget);
[[nodiscard]] Value length_of(const Value& value);
[[nodiscard]] bool contains(const Value& whole, const Value& part, Budget& budget);
/// As Python's `==`: 1, 1.0 and true are equal, lists and maps item by item.
[[nodiscard]] bool equal(const Value& left, const Value& right, Budget& budget);
/// `sign`: "<", "<=", ">", ">=", "==", "!=", "in", "not in".
[[nodiscard]] bool compare(const Value& left, std::string_view sign, const Value& right, Budget& budget);
/// `sign`: "~", "+", "-", "*", "/", "//", "%".
[[nodiscard]] Value combine(const Value& left, std::string_view sign, const Value& right, Budget& budget);

/// Without the characters of `characters` at the start (and, or) the end; without `characters`: without blanks.
[[nodiscard]] std::string_view stripped(std::string_view text, const Value* characters, bool start, bool end,
                                        Budget& budget);
/// Throws `kData` saying that `callee` needs a text.
[[nodiscard]] const std::string& text_argument(const Value* value, std::string_view callee);
[[nodiscard]] std::int64_t integer_argument(const Value& value, std::string_view callee);
[[nodiscard]] std::string replaced(const std::string& text, const std::vector<const Value*>& arguments, Budget& budget);
/// Throws `kData` for characters that are not ASCII: Python's rules for others are not built.
[[nodiscard]] std::string with_case(std::string_view text, std::string_view form);

}  // namespace lowbit::chat
