#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/config/fields.h"
#include "lowbit/config/node.h"
#include "lowbit/registry/origin.h"

namespace lowbit {

/// What is known of a registered module besides how to make it.
struct ModuleInfo {
  std::string name;      ///< lower case, as written in experiment files
  std::string summary;   ///< one sentence
  std::string citation;  ///< paper or format description; may be empty
  std::vector<FieldDescription> fields;
  ModuleOrigin origin;
};

/// Names -> factories of one interface. A value that is made in `main` or a test and passed down; nothing registers
/// itself. `family` is the word used in messages: "solver", "evaluation".
///
///   Registry<WeightSolver> solvers("solver");
///   solvers.add<RtnOptions>("rtn", "round to nearest", "", [](const RtnOptions& o) { return std::make_unique<Rtn>(o);
///   }); auto solver = solvers.create("rtn", name_mark, options_node, problems);
template <typename Interface>
class Registry {
 public:
  explicit Registry(std::string family) : family_(std::move(family)) {}

  /// What is added from now on comes from there; by default it is built in.
  void set_origin(ModuleOrigin origin) { origin_ = std::move(origin); }

  /// `Options` has `visit(FieldVisitor&)`. Throws `kPlugin` when the name is taken.
  template <typename Options, typename Make>
  void add(std::string name, std::string summary, std::string citation, Make make) {
    if (const auto taken = entries_.find(name); taken != entries_.end()) {
      fail(ErrorCode::kPlugin, "a {} named '{}' is registered already{}", family_, name,
           taken->second.info.origin.text(" by "));
    }
    Entry entry;
    entry.info = {name, std::move(summary), std::move(citation), describe_fields<Options>(), origin_};
    entry.make = [make](const ConfigNode& node, ConfigProblems& problems) -> std::unique_ptr<Interface> {
      Options options;
      const std::size_t before = problems.size();
      decode_fields(node, options, problems);
      return problems.size() == before ? std::unique_ptr<Interface>(make(options)) : nullptr;
    };
    entry.resolve = [](const ConfigNode& node, ConfigProblems& problems) {
      Options options;
      const std::size_t before = problems.size();
      decode_fields(node, options, problems);
      return problems.size() == before ? echo_fields(options) : ConfigNode();
    };
    entries_.emplace(std::move(name), std::move(entry));
  }

  /// Null, with the problems added, when the name is unknown or an option is wrong. `name_mark` is where the name
  /// stands. `make` runs only on options without problems; what it throws passes, a plugin's as `kPlugin`.
  [[nodiscard]] std::unique_ptr<Interface> create(std::string_view name, const SourceMark& name_mark,
                                                  const ConfigNode& options, ConfigProblems& problems) const {
    const Entry* entry = find(name, name_mark, problems);
    std::unique_ptr<Interface> made;
    if (entry != nullptr) blame_plugins(entry->info.origin.plugins(), [&] { made = entry->make(options, problems); });
    return made;
  }
  /// The options with every default filled in; null node when there were problems.
  [[nodiscard]] ConfigNode resolve(std::string_view name, const SourceMark& name_mark, const ConfigNode& options,
                                   ConfigProblems& problems) const {
    const Entry* entry = find(name, name_mark, problems);
    ConfigNode resolved;
    if (entry != nullptr)
      blame_plugins(entry->info.origin.plugins(), [&] { resolved = entry->resolve(options, problems); });
    return resolved;
  }
  [[nodiscard]] bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  /// Where a registered module comes from. Throws `kInternal` for an unknown name.
  [[nodiscard]] const ModuleOrigin& origin_of(std::string_view name) const {
    const auto found = entries_.find(name);
    LOWBIT_ASSERT(found != entries_.end());
    return found->second.info.origin;
  }
  /// Sorted by name.
  [[nodiscard]] std::vector<ModuleInfo> modules() const {
    std::vector<ModuleInfo> result;
    for (const auto& [name, entry] : entries_) result.push_back(entry.info);
    return result;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, entry] : entries_) result.push_back(name);
    return result;
  }
  [[nodiscard]] const std::string& family() const { return family_; }

 private:
  struct Entry {
    ModuleInfo info;
    std::function<std::unique_ptr<Interface>(const ConfigNode&, ConfigProblems&)> make;
    std::function<ConfigNode(const ConfigNode&, ConfigProblems&)> resolve;
  };
  const Entry* find(std::string_view name, const SourceMark& mark, ConfigProblems& problems) const {
    const auto found = entries_.find(name);
    if (found != entries_.end()) return &found->second;
    problems.add(mark, fmt::format("unknown {} '{}'{}", family_, name, suggestion(name, names())));
    return nullptr;
  }
  std::string family_;
  ModuleOrigin origin_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace lowbit
