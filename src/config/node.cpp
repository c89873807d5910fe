#include "lowbit/config/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "config/limits.h"
#include "config/scalar_text.h"
#include "lowbit/base/error.h"

namespace lowbit {

struct ConfigNode::Data {
  Kind kind = Kind::kNull;
  SourceMark mark;
  std::string text;
  bool quoted = false;
  std::vector<ConfigNode> items;
  std::vector<Entry> entries;
};

ConfigNode::ConfigNode() {
  static const std::shared_ptr<const Data> null = std::make_shared<const Data>();
  data_ = null;
}

ConfigNode ConfigNode::null(SourceMark mark) {
  ConfigNode node;
  node.data_ = std::make_shared<const Data>(Data{Kind::kNull, std::move(mark), {}, false, {}, {}});
  return node;
}

ConfigNode ConfigNode::scalar(std::string value, SourceMark mark) {
  ConfigNode node;
  node.data_ = std::make_shared<const Data>(Data{Kind::kScalar, std::move(mark), std::move(value), false, {}, {}});
  return node;
}

ConfigNode ConfigNode::string(std::string value, SourceMark mark) {
  ConfigNode node;
  node.data_ = std::make_shared<const Data>(Data{Kind::kScalar, std::move(mark), std::move(value), true, {}, {}});
  return node;
}

ConfigNode ConfigNode::sequence(std::vector<ConfigNode> items, SourceMark mark) {
  ConfigNode node;
  node.data_ = std::make_shared<const Data>(Data{Kind::kSequence, std::move(mark), {}, false, std::move(items), {}});
  return node;
}

ConfigNode ConfigNode::map(std::vector<Entry> entries, SourceMark mark) {
  ConfigNode node;
  node.data_ = std::make_shared<const Data>(Data{Kind::kMap, std::move(mark), {}, false, {}, std::move(entries)});
  return node;
}

ConfigNode::Kind ConfigNode::kind() const { return data_->kind; }
const SourceMark& ConfigNode::mark() const { return data_->mark; }
const std::string& ConfigNode::text() const { return data_->text; }
bool ConfigNode::quoted() const { return data_->quoted; }
const std::vector<ConfigNode>& ConfigNode::items() const { return data_->items; }
const std::vector<ConfigNode::Entry>& ConfigNode::entries() const { return data_->entries; }

const ConfigNode* ConfigNode::find(std::string_view key) const {
  for (const Entry& entry : data_->entries) {
    if (entry.key.text() == key) return &entry.value;
  }
  return nullptr;
}

bool operator==(const ConfigNode& a, const ConfigNode& b) {
  using Kind = ConfigNode::Kind;
  if (a.data_ == b.data_) return true;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kNull: return true;
    case Kind::kScalar: return a.text() == b.text() && (a.quoted() == b.quoted() || !is_typed_text(a.text()));
    case Kind::kSequence: return a.items() == b.items();
    case Kind::kMap: break;
  }
  return std::equal(a.entries().begin(), a.entries().end(), b.entries().begin(), b.entries().end(),
                    [](const auto& x, const auto& y) { return x.key == y.key && x.value == y.value; });
}

namespace {

int height(const ConfigNode& node) {
  int below = -1;
  for (const ConfigNode& item : node.items()) below = std::max(below, height(item));
  for (const ConfigNode::Entry& entry : node.entries()) below = std::max(below, height(entry.value));
  return node.is_map() || node.is_sequence() ? std::max(below, 0) + 1 : 0;
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Replaces the value at one path; the members are what its messages need.
class Replacement {
 public:
  Replacement(std::string_view path, const ConfigNode& value) : path_(path), parts_(split_path(path)), value_(value) {
    if (std::find(parts_.begin(), parts_.end(), "") != parts_.end()) {
      refuse("the path has an empty part; expected a path such as recipes.gptq.0.bits");
    }
    if (parts_.size() + static_cast<std::size_t>(height(value)) > kMaxConfigDepth) {
      refuse(fmt::format("the result would have more than {} nested levels", kMaxConfigDepth));
    }
  }

  [[nodiscard]] ConfigNode apply(const ConfigNode& node, std::size_t depth) const {
    if (depth == parts_.size()) return value_;
    switch (node.kind()) {
      case ConfigNode::Kind::kNull: return in_map(ConfigNode::map({}, value_.mark()), depth);
      case ConfigNode::Kind::kMap: return in_map(node, depth);
      case ConfigNode::Kind::kSequence: return in_sequence(node, depth);
      case ConfigNode::Kind::kScalar: break;
    }
    refuse(fmt::format("{} is the value {}, expected a map or a list", place(depth), shown(node.text())));
  }

 private:
  [[nodiscard]] ConfigNode in_map(const ConfigNode& node, std::size_t depth) const {
    std::vector<ConfigNode::Entry> entries = node.entries();
    for (ConfigNode::Entry& entry : entries) {
      if (entry.key.text() != parts_[depth]) continue;
      entry.value = apply(entry.value, depth + 1);
      return ConfigNode::map(std::move(entries), node.mark());
    }
    entries.push_back({ConfigNode::scalar(parts_[depth], value_.mark()), apply(ConfigNode(), depth + 1)});
    return ConfigNode::map(std::move(entries), node.mark());
  }

  [[nodiscard]] ConfigNode in_sequence(const ConfigNode& node, std::size_t depth) const {
    std::vector<ConfigNode> items = node.items();
    if (items.empty()) refuse(fmt::format("{} is an empty list; give the whole list", place(depth)));
    const std::string& part = parts_[depth];
    std::size_t index = 0;
    const auto result = std::from_chars(part.data(), part.data() + part.size(), index);
    if (result.ec != std::errc() || result.ptr != part.data() + part.size() || index >= items.size()) {
      refuse(fmt::format("{} is a list, so {} must be an index, expected 0..{}", place(depth), shown(part),
                         items.size() - 1));
    }
    items[index] = apply(items[index], depth + 1);
    return ConfigNode::sequence(std::move(items), node.mark());
  }

  [[nodiscard]] std::string place(std::size_t depth) const {
    if (depth == 0) return "the whole file";
    std::string path = parts_[0];
    for (std::size_t i = 1; i < depth; ++i) path += "." + parts_[i];
    return shown(path);
  }

  [[noreturn]] void refuse(const std::string& reason) const {
    const std::string where = value_.mark().text();
    fail(ErrorCode::kConfig, "{}{}cannot set {}: {}", where, where.empty() ? "" : ": ", shown(path_), reason);
  }

  std::string_view path_;
  std::vector<std::string> parts_;
  const ConfigNode& value_;
};

}  // namespace

ConfigNode ConfigNode::with(std::string_view path, const ConfigNode& value) const {
  return Replacement(path, value).apply(*this, 0);
}

}  // namespace lowbit
