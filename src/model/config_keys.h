#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"

namespace lowbit {

/// The keys of an untrusted JSON object, read with their types checked. A null counts as absent.
class ConfigKeys {
 public:
  /// Throws `kData` as "<origin>: ..." when `object` is none. Keeps a reference to it.
  ConfigKeys(const Json& object, std::string origin);

  [[nodiscard]] const std::string& origin() const { return origin_; }
  [[nodiscard]] const Json* find(const char* key) const;
  [[nodiscard]] std::optional<std::int64_t> integer(const char* key) const;
  [[nodiscard]] std::optional<double> real(const char* key) const;
  [[nodiscard]] std::optional<bool> boolean(const char* key) const;
  [[nodiscard]] std::optional<std::string> string(const char* key) const;
  [[nodiscard]] std::vector<double> reals(const char* key) const;
  /// A number, or a list of numbers.
  [[nodiscard]] std::vector<std::int64_t> integers(const char* key) const;
  /// Throws `kData` when the key is absent.
  [[nodiscard]] std::int64_t required_integer(const char* key) const;

 private:
  [[noreturn]] void wrong_type(const char* key, const Json& value, const char* expected) const;
  [[nodiscard]] std::int64_t to_integer(const char* key, const Json& value) const;
  const Json& object_;
  std::string origin_;
};

}  // namespace lowbit
