#include "model/config_keys.h"

#include <limits>
#include <utility>

namespace lowbit {
namespace {

// Enough of a value for a message.
std::string excerpt(const Json& value) {
  constexpr std::size_t kLength = 40;
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > kLength) text = text.substr(0, kLength) + "...";
  return text;
}

}  // namespace

ConfigKeys::ConfigKeys(const Json& object, std::string origin) : object_(object), origin_(std::move(origin)) {
  if (!object.is_object()) fail(ErrorCode::kData, "{}: expected a JSON object, got {}", origin_, excerpt(object));
}

const Json* ConfigKeys::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void ConfigKeys::wrong_type(const char* key, const Json& value, const char* expected) const {
  fail(ErrorCode::kData, "{}: '{}' is {}, expected {}", origin_, key, excerpt(value), expected);
}

std::int64_t ConfigKeys::to_integer(const char* key, const Json& value) const {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kLargest) wrong_type(key, value, "a smaller number");
  if (value.is_number_integer()) return value.get<std::int64_t>();
  wrong_type(key, value, "a whole number");
}

std::optional<std::int64_t> ConfigKeys::integer(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return to_integer(key, *value);
}

std::optional<double> ConfigKeys::real(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) wrong_type(key, *value, "a number");
  return value->get<double>();
}

std::optional<bool> ConfigKeys::boolean(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) wrong_type(key, *value, "true or false");
  return value->get<bool>();
}

std::optional<std::string> ConfigKeys::string(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) wrong_type(key, *value, "a text");
  return value->get<std::string>();
}

std::vector<double> ConfigKeys::reals(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) wrong_type(key, *value, "a list of numbers");
  std::vector<double> numbers;
  for (const Json& item : *value) {
    if (!item.is_number()) wrong_type(key, item, "a list of numbers");
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

std::vector<std::int64_t> ConfigKeys::integers(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {to_integer(key, *value)};
  std::vector<std::int64_t> numbers;
  for (const Json& item : *value) numbers.push_back(to_integer(key, item));
  return numbers;
}

std::int64_t ConfigKeys::required_integer(const char* key) const {
  const std::optional<std::int64_t> value = integer(key);
  if (!value) fail(ErrorCode::kData, "{}: '{}' is missing", origin_, key);
  return *value;
}

}  // namespace lowbit
