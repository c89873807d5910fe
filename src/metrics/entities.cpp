#include "metrics/entities.h"

#include <algorithm>

#include "base/trimmed.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

/// Calls `use` with each piece between separators.
template <typename Use>
void for_each_piece(std::string_view text, std::string_view separator, Use use) {
  while (true) {
    const std::size_t end = text.find(separator);
    use(trimmed(text.substr(0, end), kBlanks));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + separator.size());
  }
}

double common(const std::set<std::string>& a, const std::set<std::string>& b) {
  return static_cast<double>(
      std::count_if(a.begin(), a.end(), [&](const std::string& name) { return b.contains(name); }));
}

double f1(double both, double given, double right) { return given + right == 0 ? 0 : 2 * both / (given + right); }

}  // namespace

Entities parse_entities(std::string_view text) {
  Entities entities;
  const std::string lower = to_lower(text);
  for_each_piece(lower, "||", [&](std::string_view part) {
    const std::size_t colon = part.find(':');
    if (colon == std::string_view::npos) return;
    std::set<std::string>& names = entities[std::string(trimmed(part.substr(0, colon), kBlanks))];
    for_each_piece(part.substr(colon + 1), ",", [&](std::string_view name) {
      if (!name.empty() && name != "none") names.emplace(name);
    });
  });
  return entities;
}

EntityCounts& EntityCounts::operator+=(const EntityCounts& other) {
  for (const auto& [type, counts] : other.types) {
    Type& own = types[type];
    own = {own.given + counts.given, own.right + counts.right, own.both + counts.both};
  }
  return *this;
}

EntityCounts& EntityCounts::operator-=(const EntityCounts& other) {
  for (const auto& [type, counts] : other.types) {
    Type& own = types[type];
    own = {own.given - counts.given, own.right - counts.right, own.both - counts.both};
  }
  return *this;
}

EntityCounts entity_counts(std::string_view answer, std::string_view reference) {
  const Entities given = parse_entities(answer);
  EntityCounts counts;
  for (const auto& [type, right] : parse_entities(reference)) {
    const auto found = given.find(type);
    EntityCounts::Type& own = counts.types[type];
    own.right = static_cast<double>(right.size());
    if (found == given.end()) continue;
    own.given = static_cast<double>(found->second.size());
    own.both = common(found->second, right);
  }
  return counts;
}

double entity_f1(const EntityCounts& counts) {
  double sum = 0;
  double types = 0;
  for (const auto& [type, own] : counts.types) {
    if (own.given + own.right == 0) continue;
    sum += f1(own.both, own.given, own.right);
    ++types;
  }
  return types == 0 ? 0 : sum / types;
}

double entity_f1(std::string_view answer, std::string_view reference) {
  double given = 0, right = 0;
  for (const auto& [type, names] : parse_entities(answer)) given += static_cast<double>(names.size());
  for (const auto& [type, names] : parse_entities(reference)) right += static_cast<double>(names.size());
  double both = 0;
  for (const auto& [type, own] : entity_counts(answer, reference).types) both += own.both;
  return given + right == 0 ? 1 : f1(both, given, right);
}

}  // namespace lowbit
