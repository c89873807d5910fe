#include "plugin/description.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::string_view kHead = "lowbit-plugin ";
constexpr std::string_view kLayout = "1";

using Lines = std::vector<std::pair<std::string_view, std::string_view>>;

std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return line;
}

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos) lines.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  return lines;
}

std::string_view value_of(const Lines& lines, std::string_view key, std::string_view origin) {
  const auto found = std::find_if(lines.begin(), lines.end(), [&](const auto& line) { return line.first == key; });
  if (found == lines.end()) fail(ErrorCode::kPlugin, "{}: its description of itself lacks '{}'", origin, key);
  return found->second;
}

// In the order in which a reader should learn of them; the key, and what to say.
struct Difference {
  std::string_view key;
  std::string_view what;
  std::string_view remedy;
};
constexpr Difference kDifferences[] = {
    {"lowbit", "another version of lowbit", "build it against this one"},
    {"compiler", "another compiler", "build it with that of lowbit"},
    {"library", "another C++ standard library", "build it with that of lowbit"},
    {"torch", "another LibTorch", "build it against that of lowbit"},
    {"interface", "another interface of lowbit", "build it again against the headers of this lowbit"},
};

}  // namespace

PluginDescription check_description(std::string_view text, std::string_view own, std::string_view origin) {
  text = text.substr(0, text.find('\0'));
  const std::string_view head = next_line(text);
  if (head.substr(0, kHead.size()) != kHead)
    fail(ErrorCode::kPlugin, "{}: the section that describes a lowbit plugin holds something else", origin);
  if (const std::string_view layout = head.substr(kHead.size()); layout != kLayout) {
    fail(ErrorCode::kPlugin, "{}: a plugin with entry point '{}', this lowbit calls '{}'; build it against this lowbit",
         origin, layout, kLayout);
  }
  const Lines lines = lines_of(text);
  const Lines expected = lines_of(own);
  PluginDescription description{std::string(value_of(lines, "name", origin)),
                                std::string(value_of(lines, "version", origin))};
  if (!is_module_name(description.name)) {
    fail(ErrorCode::kPlugin, "{}: the plugin calls itself '{}', expected lower-case letters, digits, '_' and '-'",
         origin, description.name);
  }
  for (const Difference& difference : kDifferences) {
    const std::string_view theirs = value_of(lines, difference.key, origin);
    const std::string_view ours = value_of(expected, difference.key, origin);
    if (theirs == ours) continue;
    fail(ErrorCode::kPlugin, "{}: plugin '{}' was built with {} ('{}', this lowbit has '{}'); {}", origin,
         description.name, difference.what, theirs, ours, difference.remedy);
  }
  return description;
}

bool is_module_name(std::string_view name) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace lowbit
