#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lowbit::chat {

class Value;

struct List {
  std::vector<Value> items;
  /// What `map` and `select` give: like Python's generators these are true even when empty and have no length.
  bool lazy = false;
};
/// In the order of insertion; keys are texts.
struct Map {
  std::vector<std::pair<std::string, Value>> entries;
  [[nodiscard]] const Value* find(std::string_view key) const;
  void set(const std::string& key, Value value);
};
/// What `namespace()` makes: the only value that a template can change.
struct Namespace {
  Map members;
};
/// A function that templates call by its name.
struct Function {
  std::string name;
};
struct Undefined {
  std::string name;  ///< what was looked for
};
struct None {};

/// A value in a chat template, with Python's rules of truth, equality and text. Lists and maps are shared and never
/// change; they hold no namespace, so that nothing can contain itself.
class Value {
 public:
  using Data = std::variant<Undefined, None, bool, std::int64_t, double, std::string, std::shared_ptr<const List>,
                            std::shared_ptr<const Map>, std::shared_ptr<Namespace>, Function>;
  /// The most lists and maps that lie within each other.
  static constexpr std::size_t kMaxDepth = 64;

  Value() = default;
  Value(Data data) : data_(std::move(data)) {}  // NOLINT(google-explicit-constructor)
  /// Throw `kData` when they hold a namespace or lie too deep.
  [[nodiscard]] static Value list(std::vector<Value> items, bool lazy = false);
  [[nodiscard]] static Value map(Map map);

  template <typename T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&data_);
  }
  [[nodiscard]] const std::string* text() const { return get<std::string>(); }
  [[nodiscard]] const List* list() const;
  [[nodiscard]] const Map* map() const;
  [[nodiscard]] Namespace* name_space() const;
  [[nodiscard]] bool is_undefined() const { return get<Undefined>() != nullptr; }
  [[nodiscard]] bool is_none() const { return get<None>() != nullptr; }
  /// Whole numbers, and true and false, which count as 1 and 0.
  [[nodiscard]] const std::int64_t* integer() const { return get<std::int64_t>(); }
  [[nodiscard]] bool is_number() const { return integer() != nullptr || get<double>() != nullptr; }
  [[nodiscard]] double number() const;

  /// Python's `bool(value)`.
  [[nodiscard]] bool truth() const;
  /// "a text", "a list" ...
  [[nodiscard]] std::string_view kind() const;
  /// As `{{ value }}` writes it. Throws `kData` for lists, maps and functions, which Python writes in its own notation.
  [[nodiscard]] std::string written() const;
  [[nodiscard]] std::size_t depth() const { return depth_; }

 private:
  Data data_;
  std::size_t depth_ = 0;
};

/// As `json.dumps(value, ensure_ascii=False, indent=indent)` of Python writes it; -1: in one line. Throws `kData` for
/// what JSON cannot hold, and when it grows beyond `limit` bytes.
[[nodiscard]] std::string to_json(const Value& value, std::int64_t indent, std::size_t limit);

}  // namespace lowbit::chat
