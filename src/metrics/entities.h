#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace lowbit {

/// Names by type, as the answer to a task of named entities writes them:
///
///   person: Ann Lee, Bob || location: None
///
/// in lower case. "none" is no name; what stands before a part's colon is its type, and a part without one has none.
using Entities = std::map<std::string, std::set<std::string>>;
[[nodiscard]] Entities parse_entities(std::string_view text);

/// How many names were given, are right, and are both, for each type that a reference has.
struct EntityCounts {
  struct Type {
    double given = 0, right = 0, both = 0;
  };
  std::map<std::string, Type> types;
  EntityCounts& operator+=(const EntityCounts& other);
  EntityCounts& operator-=(const EntityCounts& other);
};
[[nodiscard]] EntityCounts entity_counts(std::string_view answer, std::string_view reference);
/// The mean over types of 2 both / (given + right); types that have neither are left out, and 0 stands for none at all.
[[nodiscard]] double entity_f1(const EntityCounts& counts);
/// Of one answer, over all types together, those that only it has too; 1 where neither has a name.
[[nodiscard]] double entity_f1(std::string_view answer, std::string_view reference);

}  // namespace lowbit
