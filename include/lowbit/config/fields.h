#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/config/node.h"

namespace lowbit LOWBIT_EXPORT {

struct IntRange {
  std::int64_t low = std::numeric_limits<std::int64_t>::min();
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
};
struct RealRange {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

/// An options struct lists its fields once, in `visit`, and that list serves decoding, the check for unknown keys,
/// `lowbit describe`, the documentation and the resolved config that is stored with results.
///
///   struct RtnOptions {
///     int bits = 4;
///     void visit(FieldVisitor& v) { v.field("bits", bits, "weight width in bits", {2, 8}); }
///     void validate(ConfigProblems&, const SourceMark&) const;   // optional: relations between fields
///   };
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  void field(std::string_view name, bool& value, std::string_view help) { boolean(name, value, help); }
  void field(std::string_view name, std::int64_t& value, std::string_view help, IntRange range = {}) {
    integer(name, value, help, range);
  }
  void field(std::string_view name, int& value, std::string_view help, IntRange range = {});
  void field(std::string_view name, double& value, std::string_view help, RealRange range = {}) {
    real(name, value, help, range);
  }
  void field(std::string_view name, std::string& value, std::string_view help) { string(name, value, help); }
  void field(std::string_view name, std::vector<std::string>& value, std::string_view help) {
    strings(name, value, help);
  }
  void field(std::string_view name, std::vector<std::int64_t>& value, std::string_view help, IntRange range = {}) {
    integers(name, value, help, range);
  }
  /// Any subtree, decoded later by whoever knows its meaning.
  void field(std::string_view name, ConfigNode& value, std::string_view help) { tree(name, value, help); }
  /// An enumeration whose enumerators are 0, 1, 2 ... in the order of `names`.
  template <typename Enum>
  void choice(std::string_view name, Enum& value, std::initializer_list<std::string_view> names,
              std::string_view help) {
    int index = static_cast<int>(value);
    choice_index(name, index, {names.begin(), names.size()}, help);
    value = static_cast<Enum>(index);
  }
  /// Must be given by the user; call before the field of that name.
  virtual void required(std::string_view name) = 0;

 protected:
  virtual void boolean(std::string_view name, bool& value, std::string_view help) = 0;
  virtual void integer(std::string_view name, std::int64_t& value, std::string_view help, IntRange range) = 0;
  virtual void real(std::string_view name, double& value, std::string_view help, RealRange range) = 0;
  virtual void string(std::string_view name, std::string& value, std::string_view help) = 0;
  virtual void strings(std::string_view name, std::vector<std::string>& value, std::string_view help) = 0;
  virtual void integers(std::string_view name, std::vector<std::int64_t>& value, std::string_view help,
                        IntRange range) = 0;
  virtual void tree(std::string_view name, ConfigNode& value, std::string_view help) = 0;
  virtual void choice_index(std::string_view name, int& index, std::span<const std::string_view> names,
                            std::string_view help) = 0;
};

/// Reads fields out of a map. What cannot be read is reported at its place and leaves the field as it was:
///
///   configs/x.yaml:3:11: 'bits' cannot be read as a whole number: 'four'
///   configs/x.yaml:4:5: unknown key 'gruop'; did you mean 'group'?
class FieldDecoder : public FieldVisitor {
 public:
  /// A null `node` is taken as an empty map; a scalar or a list is reported once.
  FieldDecoder(const ConfigNode& node, ConfigProblems& problems);
  void required(std::string_view name) override;
  /// Reports the keys that no field has asked for and the required keys that are missing. Call it after the last field.
  void finish();

 protected:
  void boolean(std::string_view name, bool& value, std::string_view help) override;
  void integer(std::string_view name, std::int64_t& value, std::string_view help, IntRange range) override;
  void real(std::string_view name, double& value, std::string_view help, RealRange range) override;
  void string(std::string_view name, std::string& value, std::string_view help) override;
  void strings(std::string_view name, std::vector<std::string>& value, std::string_view help) override;
  void integers(std::string_view name, std::vector<std::int64_t>& value, std::string_view help,
                IntRange range) override;
  void tree(std::string_view name, ConfigNode& value, std::string_view help) override;
  void choice_index(std::string_view name, int& index, std::span<const std::string_view> names,
                    std::string_view help) override;

 private:
  /// The value of a key, or null pointer when the key is absent.
  const ConfigNode* take(std::string_view name);
  /// The items of a list field, or null pointer when the key is absent or its value, which is then reported, is no
  /// list.
  const std::vector<ConfigNode>* take_list(std::string_view name, std::string_view expected);
  ConfigNode node_;
  ConfigProblems& problems_;
  std::vector<std::string> known_;
  std::vector<std::string> missing_;
  bool is_map_ = true;
};

/// What `lowbit describe` prints of one field.
struct FieldDescription {
  std::string name;
  std::string type;  ///< "integer 2..8", "number, at least 0", "true or false", "one of a, b", "list of text" ...
  std::string default_value;  ///< as YAML; empty for a required field
  std::string help;
  bool required = false;
};

/// Runs `options.visit` over a map, then, if every field could be read, `options.validate(problems, mark)` where
/// `Options` has it: relations between fields say nothing about values that were not taken.
template <typename Options>
void decode_fields(const ConfigNode& node, Options& options, ConfigProblems& problems) {
  const std::size_t before = problems.size();
  FieldDecoder decoder(node, problems);
  options.visit(static_cast<FieldVisitor&>(decoder));
  decoder.finish();
  if constexpr (requires { options.validate(problems, node.mark()); }) {
    if (problems.size() == before) options.validate(problems, node.mark());
  }
}

/// Non-template cores of the two templates below.
[[nodiscard]] std::unique_ptr<FieldVisitor> make_field_describer(std::vector<FieldDescription>& out);
[[nodiscard]] std::unique_ptr<FieldVisitor> make_field_echo(std::vector<ConfigNode::Entry>& out);

/// Name, type, default and help of every field of a default-constructed `Options`.
template <typename Options>
[[nodiscard]] std::vector<FieldDescription> describe_fields() {
  std::vector<FieldDescription> out;
  Options options;
  options.visit(*make_field_describer(out));
  return out;
}

/// The resolved values of all fields as a map: what a decoded config means with every default filled in. Decoding it
/// gives the same options.
template <typename Options>
[[nodiscard]] ConfigNode echo_fields(const Options& options) {
  std::vector<ConfigNode::Entry> entries;
  Options copy = options;
  copy.visit(*make_field_echo(entries));
  return ConfigNode::map(std::move(entries));
}

}  // namespace LOWBIT_EXPORT
