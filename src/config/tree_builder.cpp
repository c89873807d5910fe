#include "config/tree_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/limits.h"
#include "config/scalar_text.h"

namespace lowbit {
namespace {

// yaml-cpp's names for "no tag": "?" for what is unquoted, "!" for a scalar in quotes.
constexpr std::string_view kPlainTag = "?";
constexpr std::string_view kQuotedTag = "!";

// Whether `~` or `null` is written at the start of `text`, rather than nothing at all.
bool starts_with_null(std::string_view text) {
  const std::size_t length = std::min(text.find_first_of(" \t\r\n,:]}"), text.size());
  return length > 0 && is_null_text(text.substr(0, length));
}

// The value that follows an anchor and comments.
std::string_view behind_anchor(std::string_view text) {
  if (!text.starts_with('&')) return text;
  text.remove_prefix(std::min(text.find_first_of(" \t\r\n"), text.size()));
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (!text.starts_with('#')) return text;
    text.remove_prefix(std::min(text.find('\n'), text.size()));
  }
}

// Whether the text in quotes that `text` begins with ends in it; true for what has no quotes.
bool is_closed(std::string_view text) {
  const char quote = text.empty() ? '\0' : text.front();
  if (quote != '\'' && quote != '"') return true;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 == text.size() || text[i + 1] != quote) return true;
      ++i;  // '' stands for one quote
    }
  }
  return false;
}

}  // namespace

SourceMark TreeBuilder::place(const YAML::Mark& mark) {
  return source_.mark(static_cast<std::size_t>(std::max(mark.line, 0)),
                      static_cast<std::size_t>(std::max(mark.column, 0)));
}

std::string_view TreeBuilder::text_at(const YAML::Mark& mark) const {
  return source_.from(static_cast<std::size_t>(std::max(mark.line, 0)),
                      static_cast<std::size_t>(std::max(mark.column, 0)));
}

void TreeBuilder::OnDocumentStart(const YAML::Mark& mark) {
  if (!std::exchange(has_document_, true)) return;
  const bool marked = text_at(mark).starts_with("---");
  problems_.add(place(mark), marked ? "a second document starts here; expected one document a file"
                                    : "text behind the end of the document; check indentation and brackets above");
  throw StopParsing();
}

void TreeBuilder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  SourceMark where = place(mark);
  const bool left_out = !starts_with_null(behind_anchor(text_at(mark)));
  if (left_out && !open_.empty() && open_.back().is_map && open_.back().has_key) {
    const Open& map = open_.back();
    // yaml-cpp takes a last line without ':' for a key, and then gives the value the place of the key.
    if (map.is_block && where.line == map.key_place.line && where.column == map.key_place.column) {
      problems_.add(where, fmt::format("expected ': ' behind the key {}", shown(map.key.text())));
    }
    // Otherwise the place is that of the next token, which may be lines away; the key is the better one.
    where = map.key_place;
  }
  count(1, where);
  add({ConfigNode::null(where)}, anchor, where);
}

void TreeBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const SourceMark where = place(mark);
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) {
    problems_.add(where, "alias to a value that contains it");
    throw StopParsing();
  }
  const Value value = found->second;
  count(value.nodes, where);
  if (open_.size() + value.height > kMaxConfigDepth) {
    problems_.add(where, fmt::format("more than {} nested levels, aliases counted", kMaxConfigDepth));
    throw StopParsing();
  }
  add(value, 0, where);
}

void TreeBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& value) {
  const SourceMark where = place(mark);
  check_tag(mark, tag, true);
  // yaml-cpp takes the end of the file for the closing quote when a line break stands before it.
  if (tag == kQuotedTag && !is_closed(behind_anchor(text_at(mark)))) {
    problems_.add(where, "not valid YAML: a text in quotes is not closed");
    throw StopParsing();
  }
  count(1, where);
  add({tag == kPlainTag ? ConfigNode::scalar(value, where) : ConfigNode::string(value, where)}, anchor, where);
}

void TreeBuilder::OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                                  YAML::EmitterStyle::value style) {
  open(mark, tag, anchor, false, style == YAML::EmitterStyle::Block);
}

void TreeBuilder::OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                             YAML::EmitterStyle::value style) {
  open(mark, tag, anchor, true, style == YAML::EmitterStyle::Block);
}

void TreeBuilder::open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_map,
                       bool is_block) {
  const SourceMark where = place(mark);
  check_tag(mark, tag, false);
  count(1, where);
  if (open_.size() >= kMaxConfigDepth) {
    problems_.add(where, fmt::format("more than {} nested levels", kMaxConfigDepth));
    throw StopParsing();
  }
  Open opened;
  opened.is_map = is_map;
  opened.is_block = is_block;
  opened.mark = where;
  opened.anchor = anchor;
  open_.push_back(std::move(opened));
}

void TreeBuilder::close() {
  Open closed = std::move(open_.back());
  open_.pop_back();
  ConfigNode node = closed.is_map ? ConfigNode::map(std::move(closed.entries), closed.mark)
                                  : ConfigNode::sequence(std::move(closed.items), closed.mark);
  add({std::move(node), closed.nodes, closed.height}, closed.anchor, closed.mark);
}

void TreeBuilder::add(Value value, YAML::anchor_t anchor, const SourceMark& where) {
  if (anchor != 0) anchors_[anchor] = value;
  if (open_.empty()) {
    root_ = std::move(value.node);
    return;
  }
  Open& parent = open_.back();
  parent.nodes += value.nodes;
  parent.height = std::max(parent.height, value.height + 1);
  if (!parent.is_map) {
    parent.items.push_back(std::move(value.node));
  } else if (!parent.has_key) {
    check_key(value.node);
    parent.key = std::move(value.node);
    parent.key_place = where;
    parent.has_key = true;
  } else {
    add_entry(parent, value.node);
    parent.has_key = false;
  }
}

void TreeBuilder::add_entry(Open& map, const ConfigNode& value) {
  if (!map.key.is_scalar()) return;  // reported by check_key
  const auto [first, is_new] = map.keys_seen.try_emplace(map.key.text(), map.key.mark());
  if (!is_new) {
    problems_.add(map.key.mark(), fmt::format("duplicate key {}; it stands at {} already", shown(map.key.text()),
                                              first->second.text()));
    return;
  }
  map.entries.push_back({map.key, value});
}

void TreeBuilder::check_key(const ConfigNode& key) {
  if (key.is_null()) {
    problems_.add(key.mark(), "a key is missing or null, expected a name before ':'");
  } else if (!key.is_scalar()) {
    problems_.add(key.mark(), fmt::format("a {} cannot be a key, expected a name", key.is_map() ? "map" : "list"));
  } else if (key.text() == "<<" && !key.quoted()) {
    problems_.add(key.mark(), "the merge key '<<' is not part of YAML 1.2; repeat the keys here");
  }
}

void TreeBuilder::check_tag(const YAML::Mark& mark, const std::string& tag, bool is_scalar) {
  if (tag.empty() || tag == kPlainTag) return;
  const std::string_view written = behind_anchor(text_at(mark));
  if (is_scalar && tag == kQuotedTag && !written.starts_with('!')) return;
  const std::string_view name = written.starts_with('!')
                                    ? written.substr(0, std::min(written.find_first_of(" \t\r\n,]}"), written.size()))
                                    : std::string_view(tag);
  problems_.add(place(mark), fmt::format("the tag {} is not supported; remove it", shown(name)));
}

void TreeBuilder::count(std::size_t nodes, const SourceMark& mark) {
  nodes_ += nodes;
  if (nodes_ <= kMaxConfigNodes) return;
  problems_.add(mark, fmt::format("more than {} values, aliases expanded", kMaxConfigNodes));
  throw StopParsing();
}

}  // namespace lowbit
