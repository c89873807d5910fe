#include "config/scalar_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/ranges.h"
#include "config/scalar_text.h"

namespace lowbit {
namespace {

constexpr std::string_view kWholeNumber = "a whole number";
constexpr std::string_view kNumber = "a number";
constexpr std::string_view kTrueOrFalse = "true or false";

// The integer that somebody who wrote 1e3, 4.0 or 1_000 means; an empty text when there is none.
std::string meant_integer(std::string text) {
  std::erase(text, '_');
  if (is_integer_text(text)) return fmt::format("; write {}", text);
  const std::optional<double> real = read_real(text);
  constexpr double kExact = 9007199254740992.0;  // 2^53: every whole number up to it is a double
  if (!real || std::floor(*real) != *real || std::abs(*real) > kExact) return "";
  return fmt::format("; write {}", static_cast<std::int64_t>(*real));
}

// The range as the documentation writes it, or with both bounds where the bound that it leaves out is the one broken:
// that of `int`, or of 64 bits when there is no `value`.
std::string violated_range(std::optional<std::int64_t> value, const IntRange& range) {
  const std::string text = range_text(range);
  const bool both = !text.empty() && !text.starts_with("at ");
  const bool one = value && (text.starts_with("at least") ? *value < range.low : *value > range.high);
  return both || (one && !text.empty()) ? text : fmt::format("{}..{}", range.low, range.high);
}

std::string meant_real(std::string text) {
  std::erase(text, '_');
  std::replace(text.begin(), text.end(), ',', '.');
  return is_real_text(text) ? fmt::format("; write {}", text) : "";
}

}  // namespace

std::string_view kind_text(const ConfigNode& node) {
  switch (node.kind()) {
    case ConfigNode::Kind::kNull: return "nothing";
    case ConfigNode::Kind::kScalar: return "a single value";
    case ConfigNode::Kind::kSequence: return "a list";
    case ConfigNode::Kind::kMap: return "a map";
  }
  return "";
}

void ScalarDecoder::report(const std::string& message) const {
  problems_.add(node_.mark(), fmt::format("{} {}", shown(name_), message));
}

void ScalarDecoder::report_unreadable(std::string_view expected, const std::string& advice) const {
  report(fmt::format("cannot be read as {}: {}{}", expected, shown(node_.text()), advice));
}

bool ScalarDecoder::check_scalar(std::string_view expected) const {
  if (node_.is_scalar()) return true;
  report(node_.is_null() ? fmt::format("has no value, expected {}; give one or remove the key", expected)
                         : fmt::format("is {}, expected {}", kind_text(node_), expected));
  return false;
}

std::optional<bool> ScalarDecoder::boolean() const {
  if (!check_scalar(kTrueOrFalse)) return std::nullopt;
  const std::string& text = node_.text();
  const std::optional<bool> value = read_boolean(text);
  if (value && !node_.quoted()) return value;
  if (value) {
    report(fmt::format("is the text {}, expected true or false; remove the quotes", shown(text)));
  } else if (const std::optional<bool> meant = read_legacy_boolean(text)) {
    report(fmt::format("is {}, which is a text in YAML 1.2, expected true or false; write {}", shown(text), *meant));
  } else {
    report_unreadable(kTrueOrFalse, "");
  }
  return std::nullopt;
}

std::optional<std::int64_t> ScalarDecoder::integer(const IntRange& range) const {
  if (!check_scalar(kWholeNumber)) return std::nullopt;
  const std::string& text = node_.text();
  if (!is_integer_text(text)) {
    report_unreadable(kWholeNumber, meant_integer(text));
    return std::nullopt;
  }
  if (node_.quoted()) {
    report(fmt::format("is the text {}, expected a whole number; remove the quotes", shown(text)));
    return std::nullopt;
  }
  const std::optional<std::int64_t> value = read_integer(text);
  if (value && *value >= range.low && *value <= range.high) return value;
  const std::string written = text.size() <= 40 ? text : text.substr(0, 40) + "...";
  report(fmt::format("is {}, expected {}", written, violated_range(value, range)));
  return std::nullopt;
}

std::optional<double> ScalarDecoder::real(const RealRange& range) const {
  if (!check_scalar(kNumber)) return std::nullopt;
  const std::string& text = node_.text();
  if (node_.quoted() && is_real_text(text)) {
    report(fmt::format("is the text {}, expected a number; remove the quotes", shown(text)));
  } else if (is_not_finite_text(text)) {
    report(fmt::format("is {}, expected a finite number", shown(text)));
  } else if (!is_real_text(text)) {
    report_unreadable(kNumber, meant_real(text));
  } else if (const std::optional<double> value = read_real(text); !value) {
    report(fmt::format("is {}, which a 64-bit float cannot hold", shown(text)));
  } else if (*value < range.low || *value > range.high) {
    report(fmt::format("is {}, expected {}", *value, range_text(range)));
  } else {
    return value;
  }
  return std::nullopt;
}

std::optional<std::string> ScalarDecoder::string() const {
  return check_scalar("a text") ? std::optional<std::string>(node_.text()) : std::nullopt;
}

}  // namespace lowbit
