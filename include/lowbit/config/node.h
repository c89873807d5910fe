#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Where a value stands. Lines and columns count from 1; line 0 means "not from a text".
struct SourceMark {
  std::string file;
  int line = 0;
  int column = 0;
  /// "configs/x.yaml:3:7", or the file alone when there is no line.
  [[nodiscard]] std::string text() const;
};

/// One value of a configuration with its place in the file: null, scalar, sequence or map. An immutable tree, cheap to
/// copy. Parsed from YAML 1.2 by a strict reader: one document, keys that are scalars and do not repeat, UTF-8 without
/// control characters, no tags, no merge keys, at most 64 levels, 100,000 nodes (aliases expanded) and 1 MiB.
///
///   const ConfigNode file = ConfigNode::load("configs/x.yaml").with("seeds.0", ConfigNode::scalar("7"));
///   decode_fields(file, options, problems);   // lowbit/config/fields.h
///   problems.throw_if_any();
class ConfigNode {
 public:
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Entry;  // {ConfigNode key; ConfigNode value;}

  /// Null, from no text.
  ConfigNode();
  /// Throws `kConfig` with every problem of the text, a line each: "file:line:column: message". An empty text is null.
  [[nodiscard]] static ConfigNode parse(std::string_view yaml, std::string file_name);
  /// Throws `kConfig` when the file is missing, too large or wrong, `kIo` when the system refuses to read it.
  [[nodiscard]] static ConfigNode load(const std::filesystem::path& path);
  [[nodiscard]] static ConfigNode null(SourceMark mark = {});
  /// A value written without quotes: a number or a boolean if it looks like one, else a text.
  [[nodiscard]] static ConfigNode scalar(std::string value, SourceMark mark = {});
  /// A text even if it looks like a number: `quoted()` is true.
  [[nodiscard]] static ConfigNode string(std::string value, SourceMark mark = {});
  [[nodiscard]] static ConfigNode sequence(std::vector<ConfigNode> items, SourceMark mark = {});
  [[nodiscard]] static ConfigNode map(std::vector<Entry> entries, SourceMark mark = {});

  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is_null() const { return kind() == Kind::kNull; }
  [[nodiscard]] bool is_scalar() const { return kind() == Kind::kScalar; }
  [[nodiscard]] bool is_sequence() const { return kind() == Kind::kSequence; }
  [[nodiscard]] bool is_map() const { return kind() == Kind::kMap; }
  [[nodiscard]] const SourceMark& mark() const;
  /// The text of a scalar; empty for the other kinds.
  [[nodiscard]] const std::string& text() const;
  /// True for a scalar that was written in quotes: it is a string even if it looks like a number.
  [[nodiscard]] bool quoted() const;
  [[nodiscard]] const std::vector<ConfigNode>& items() const;
  /// In the order of the file.
  [[nodiscard]] const std::vector<Entry>& entries() const;
  /// The value under `key` of a map, or null pointer.
  [[nodiscard]] const ConfigNode* find(std::string_view key) const;

  /// A copy in which the value at the dotted path ("recipes.gptq.0.gptq.bits", sequence items by index) is replaced;
  /// missing maps on the way are made. Throws `kConfig`, with the value's mark, when the path goes through a scalar, an
  /// index is out of range or the result has more than 64 levels.
  [[nodiscard]] ConfigNode with(std::string_view path, const ConfigNode& value) const;
  /// Block-style YAML that parses back to an equal tree. Throws `kConfig` when a text is not UTF-8.
  [[nodiscard]] std::string to_yaml() const;
  /// Equal structure and scalars; marks do not count, quotes only where they make a text of what looks like a number or
  /// a boolean. The order of the entries of a map counts.
  friend LOWBIT_EXPORT bool operator==(const ConfigNode& a, const ConfigNode& b);

 private:
  struct Data;
  std::shared_ptr<const Data> data_;
};

struct ConfigNode::Entry {
  ConfigNode key;
  ConfigNode value;
};

/// "a.b=c" of the command line: the value is YAML, its mark is "--set:1:<column>", the column counted in the whole
/// argument. Throws `kConfig`.
[[nodiscard]] std::pair<std::string, ConfigNode> parse_override(std::string_view argument);

/// Problems are gathered, so that one attempt shows the user all of them.
class ConfigProblems {
 public:
  void add(const SourceMark& mark, std::string message);
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  [[nodiscard]] std::size_t size() const { return problems_.size(); }
  /// Throws `kConfig` with one line a problem, "file:line:column: message", in the order of the file; beyond 100 of
  /// them the rest is counted.
  void throw_if_any() const;

 private:
  std::vector<std::pair<SourceMark, std::string>> problems_;
};

/// The candidate nearest to `word`, if it is near enough to be a typing mistake and is not its contrary: a swap is one
/// step, upper and lower case do not count, and at most a third of the longer length (at least one step) is allowed.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view word,
                                                      const std::vector<std::string>& candidates);
/// "; did you mean 'x'?" or, without a near one, "; known: 'a', 'b', 'c'" (at most 12 named).
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace LOWBIT_EXPORT
