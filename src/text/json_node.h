#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"

namespace lowbit {

/// A value of a JSON file that knows where it stands, so that errors can say it: "<origin>: 'model.merges[3]' must be
/// a string". Refers to the document, which must live longer.
class JsonNode {
 public:
  JsonNode(const Json& value, std::string origin, std::string path = {})
      : value_(&value), origin_(std::move(origin)), path_(std::move(path)) {}

  [[nodiscard]] const Json& json() const { return *value_; }
  [[nodiscard]] const std::string& origin() const { return origin_; }
  /// "tokenizer.json: 'model.type'".
  [[nodiscard]] std::string where() const { return path_.empty() ? origin_ : fmt::format("{}: '{}'", origin_, path_); }

  /// A member that is there and not null.
  [[nodiscard]] std::optional<JsonNode> find(std::string_view key) const {
    if (!value_->is_object()) wrong_kind("an object");
    const auto found = value_->find(key);
    if (found == value_->end() || found->is_null()) return std::nullopt;
    return JsonNode(*found, origin_, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key));
  }
  [[nodiscard]] JsonNode at(std::string_view key) const {
    const auto found = find(key);
    if (!found) fail(ErrorCode::kData, "{}: '{}{}{}' is missing", origin_, path_, path_.empty() ? "" : ".", key);
    return *found;
  }
  [[nodiscard]] JsonNode item(std::size_t index) const {
    return JsonNode((*value_)[index], origin_, fmt::format("{}[{}]", path_, index));
  }
  [[nodiscard]] std::vector<JsonNode> items() const {
    if (!value_->is_array()) wrong_kind("a list");
    std::vector<JsonNode> result;
    for (std::size_t i = 0; i < value_->size(); ++i) result.push_back(item(i));
    return result;
  }

  [[nodiscard]] const std::string& text() const {
    if (!value_->is_string()) wrong_kind("a string");
    return value_->get_ref<const std::string&>();
  }
  [[nodiscard]] std::int64_t integer() const {
    if (!value_->is_number_integer()) wrong_kind("a whole number");
    if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return INT64_MAX;
    return value_->get<std::int64_t>();
  }
  [[nodiscard]] bool flag() const {
    if (!value_->is_boolean()) wrong_kind("true or false");
    return value_->get<bool>();
  }

  [[nodiscard]] bool flag(std::string_view key, bool fallback) const {
    const auto found = find(key);
    return found ? found->flag() : fallback;
  }
  [[nodiscard]] std::string text(std::string_view key, std::string_view fallback) const {
    const auto found = find(key);
    return found ? found->text() : std::string(fallback);
  }

  [[noreturn]] void wrong_kind(std::string_view expected) const {
    fail(ErrorCode::kData, "{} must be {}, not {}", where(), expected, value_->type_name());
  }

 private:
  const Json* value_;
  std::string origin_;
  std::string path_;
};

}  // namespace lowbit
