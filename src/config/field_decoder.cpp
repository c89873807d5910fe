#include <fmt/format.h>

#include <algorithm>

#include "config/scalar_decoder.h"
#include "config/scalar_text.h"
#include "config/yaml_text.h"
#include "lowbit/config/fields.h"

namespace lowbit {

void FieldVisitor::field(std::string_view name, int& value, std::string_view help, IntRange range) {
  range.low = std::max<std::int64_t>(range.low, std::numeric_limits<int>::min());
  range.high = std::min<std::int64_t>(range.high, std::numeric_limits<int>::max());
  std::int64_t wide = value;
  integer(name, wide, help, range);
  value = static_cast<int>(wide);
}

FieldDecoder::FieldDecoder(const ConfigNode& node, ConfigProblems& problems)
    : node_(node), problems_(problems), is_map_(node.is_map() || node.is_null()) {
  if (is_map_) return;
  const std::string given = node.is_scalar() ? fmt::format("the value {}", shown(node.text())) : "a list";
  problems_.add(node.mark(), fmt::format("expected a map of options, got {}; write key: value pairs, or {{}}", given));
}

void FieldDecoder::required(std::string_view name) {
  if (is_map_ && node_.find(name) == nullptr) missing_.emplace_back(name);
}

void FieldDecoder::finish() {
  if (!is_map_) return;
  for (const ConfigNode::Entry& entry : node_.entries()) {
    const std::string& key = entry.key.text();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    problems_.add(entry.key.mark(), fmt::format("unknown key {}{}", shown(key), suggestion(key, known_)));
    // A misspelt required key is one mistake, not two.
    if (const auto meant = nearest_name(key, known_)) std::erase(missing_, *meant);
  }
  for (const std::string& name : missing_) {
    problems_.add(node_.mark(), fmt::format("missing required key {}", shown(name)));
  }
}

const ConfigNode* FieldDecoder::take(std::string_view name) {
  known_.emplace_back(name);
  return node_.find(name);
}

const std::vector<ConfigNode>* FieldDecoder::take_list(std::string_view name, std::string_view expected) {
  const ConfigNode* node = take(name);
  if (node == nullptr) return nullptr;
  if (node->is_sequence()) return &node->items();
  std::string given(kind_text(*node));
  std::string advice;
  if (node->is_scalar()) {
    given = fmt::format("the value {}", shown(node->text()));
    if (node->text().size() <= 40) advice = fmt::format("; write [{}]", to_flow_yaml(*node));
  }
  problems_.add(node->mark(), fmt::format("{} is {}, expected {}{}", shown(name), given, expected, advice));
  return nullptr;
}

void FieldDecoder::boolean(std::string_view name, bool& value, std::string_view) {
  if (const ConfigNode* node = take(name)) {
    value = ScalarDecoder(std::string(name), *node, problems_).boolean().value_or(value);
  }
}

void FieldDecoder::integer(std::string_view name, std::int64_t& value, std::string_view, IntRange range) {
  if (const ConfigNode* node = take(name)) {
    value = ScalarDecoder(std::string(name), *node, problems_).integer(range).value_or(value);
  }
}

void FieldDecoder::real(std::string_view name, double& value, std::string_view, RealRange range) {
  if (const ConfigNode* node = take(name)) {
    value = ScalarDecoder(std::string(name), *node, problems_).real(range).value_or(value);
  }
}

void FieldDecoder::string(std::string_view name, std::string& value, std::string_view) {
  if (const ConfigNode* node = take(name)) {
    value = ScalarDecoder(std::string(name), *node, problems_).string().value_or(value);
  }
}

void FieldDecoder::strings(std::string_view name, std::vector<std::string>& value, std::string_view) {
  const std::vector<ConfigNode>* items = take_list(name, "a list of texts");
  if (items == nullptr) return;
  const std::size_t before = problems_.size();
  std::vector<std::string> read;
  for (const ConfigNode& item : *items) {
    const ScalarDecoder decoder(fmt::format("{}[{}]", name, read.size()), item, problems_);
    read.push_back(decoder.string().value_or(""));
  }
  if (problems_.size() == before) value = std::move(read);
}

void FieldDecoder::integers(std::string_view name, std::vector<std::int64_t>& value, std::string_view, IntRange range) {
  const std::vector<ConfigNode>* items = take_list(name, "a list of whole numbers");
  if (items == nullptr) return;
  const std::size_t before = problems_.size();
  std::vector<std::int64_t> read;
  for (const ConfigNode& item : *items) {
    const ScalarDecoder decoder(fmt::format("{}[{}]", name, read.size()), item, problems_);
    read.push_back(decoder.integer(range).value_or(0));
  }
  if (problems_.size() == before) value = std::move(read);
}

void FieldDecoder::tree(std::string_view name, ConfigNode& value, std::string_view) {
  if (const ConfigNode* node = take(name)) value = *node;
}

void FieldDecoder::choice_index(std::string_view name, int& index, std::span<const std::string_view> names,
                                std::string_view) {
  const ConfigNode* node = take(name);
  if (node == nullptr) return;
  std::string expected = "one of ";
  for (const std::string_view known : names)
    expected += fmt::format("{}'{}'", known == names.front() ? "" : ", ", known);
  const ScalarDecoder decoder(std::string(name), *node, problems_);
  if (!decoder.check_scalar(expected)) return;
  const auto found = std::find(names.begin(), names.end(), node->text());
  if (found != names.end()) {
    index = static_cast<int>(found - names.begin());
    return;
  }
  const auto near = nearest_name(node->text(), {names.begin(), names.end()});
  decoder.report(fmt::format("is {}, expected {}{}", shown(node->text()), expected,
                             near ? fmt::format("; did you mean '{}'?", *near) : ""));
}

}  // namespace lowbit
