#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lowbit/config/fields.h"
#include "lowbit/config/node.h"

namespace lowbit {

/// Reads one value of a field; what cannot be read is reported at the value's place under `name`, the key as the
/// message shall show it: 'bits', or 'seeds[2]' for an item of a list.
class ScalarDecoder {
 public:
  ScalarDecoder(std::string name, const ConfigNode& node, ConfigProblems& problems)
      : name_(std::move(name)), node_(node), problems_(problems) {}

  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<std::int64_t> integer(const IntRange& range) const;
  [[nodiscard]] std::optional<double> real(const RealRange& range) const;
  [[nodiscard]] std::optional<std::string> string() const;

  /// Reports anything that is no scalar: "'bits' is a list, expected a whole number".
  [[nodiscard]] bool check_scalar(std::string_view expected) const;
  void report(const std::string& message) const;
  /// "'bits' cannot be read as a whole number: 'four'", with advice where the mistake is a known one.
  void report_unreadable(std::string_view expected, const std::string& advice) const;

 private:
  std::string name_;
  const ConfigNode& node_;
  ConfigProblems& problems_;
};

/// "nothing", "a list", "a map" or "a single value".
[[nodiscard]] std::string_view kind_text(const ConfigNode& node);

}  // namespace lowbit
