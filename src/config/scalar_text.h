#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lowbit {

/// The core schema of YAML 1.2 (section 10.3.2): what an unquoted scalar means.
[[nodiscard]] bool is_null_text(std::string_view text);
[[nodiscard]] std::optional<bool> read_boolean(std::string_view text);
/// Decimal with an optional sign, 0x or 0o; says nothing of the size.
[[nodiscard]] bool is_integer_text(std::string_view text);
/// Also integers; not .inf and .nan.
[[nodiscard]] bool is_real_text(std::string_view text);
/// .inf and .nan with their signs and spellings.
[[nodiscard]] bool is_not_finite_text(std::string_view text);
/// True when an unquoted `text` is a boolean or a number and therefore no string.
[[nodiscard]] bool is_typed_text(std::string_view text);
/// yes, no, on, off, y and n in any case: booleans for readers of YAML 1.1, strings in YAML 1.2.
[[nodiscard]] std::optional<bool> read_legacy_boolean(std::string_view text);

/// Nothing when the text is no integer or beyond 64 bits.
[[nodiscard]] std::optional<std::int64_t> read_integer(std::string_view text);
/// Nothing when the text is no real number or beyond the range of a double on either side.
[[nodiscard]] std::optional<double> read_real(std::string_view text);

/// 'text' for a message: on one line, at most 60 characters, control characters escaped.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace lowbit
