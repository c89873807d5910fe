#pragma once

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/source_text.h"
#include "lowbit/config/node.h"

namespace lowbit {

/// Thrown to leave yaml-cpp after a problem that makes the rest of the text meaningless; the problem is added before.
struct StopParsing {};

/// Builds the tree from the events of yaml-cpp. Its own tree of nodes is not used, since it keeps duplicate keys,
/// expands aliases without a bound and forgets quotes.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(SourceText& source, ConfigProblems& problems) : source_(source), problems_(problems) {}
  [[nodiscard]] const ConfigNode& root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { close(); }

 private:
  /// A value with what it costs where an alias repeats it.
  struct Value {
    ConfigNode node;
    std::size_t nodes = 1;
    std::size_t height = 0;
  };
  /// A map or sequence that is not closed yet. In a map every second value is a key.
  struct Open {
    bool is_map = false;
    bool is_block = false;
    SourceMark mark;
    YAML::anchor_t anchor = 0;
    std::size_t nodes = 1;
    std::size_t height = 1;
    std::vector<ConfigNode> items;
    std::vector<ConfigNode::Entry> entries;
    bool has_key = false;
    ConfigNode key;
    SourceMark key_place;  // not the mark of a key that is an alias
    std::unordered_map<std::string, SourceMark> keys_seen;
  };

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_map, bool is_block);
  void close();
  void add(Value value, YAML::anchor_t anchor, const SourceMark& where);
  void add_entry(Open& map, const ConfigNode& value);
  void check_key(const ConfigNode& key);
  void check_tag(const YAML::Mark& mark, const std::string& tag, bool is_scalar);
  void count(std::size_t nodes, const SourceMark& mark);
  SourceMark place(const YAML::Mark& mark);
  std::string_view text_at(const YAML::Mark& mark) const;

  SourceText& source_;
  ConfigProblems& problems_;
  ConfigNode root_;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, Value> anchors_;
  std::size_t nodes_ = 0;
  bool has_document_ = false;
};

}  // namespace lowbit
