#include <fmt/format.h>

#include <algorithm>

#include "config/ranges.h"
#include "config/yaml_text.h"
#include "lowbit/base/error.h"
#include "lowbit/config/fields.h"

namespace lowbit {
namespace {

// Turns every field into (name, value as a node, type, help); what becomes of it is for the two listings below.
class FieldListing : public FieldVisitor {
 public:
  void required(std::string_view) override {}

 protected:
  virtual void list(std::string_view name, ConfigNode value, std::string type, std::string_view help) = 0;

  void boolean(std::string_view name, bool& value, std::string_view help) override {
    list(name, ConfigNode::scalar(value ? "true" : "false"), "true or false", help);
  }
  void integer(std::string_view name, std::int64_t& value, std::string_view help, IntRange range) override {
    list(name, ConfigNode::scalar(fmt::format("{}", value)), with_range("integer", range_text(range)), help);
  }
  void real(std::string_view name, double& value, std::string_view help, RealRange range) override {
    LOWBIT_ASSERT(value - value == 0.0);  // decoding refuses infinity and NaN
    list(name, ConfigNode::scalar(fmt::format("{}", value)), with_range("number", range_text(range)), help);
  }
  void string(std::string_view name, std::string& value, std::string_view help) override {
    list(name, ConfigNode::string(value), "text", help);
  }
  void strings(std::string_view name, std::vector<std::string>& value, std::string_view help) override {
    std::vector<ConfigNode> items;
    for (const std::string& item : value) items.push_back(ConfigNode::string(item));
    list(name, ConfigNode::sequence(std::move(items)), "list of texts", help);
  }
  void integers(std::string_view name, std::vector<std::int64_t>& value, std::string_view help,
                IntRange range) override {
    std::vector<ConfigNode> items;
    for (const std::int64_t item : value) items.push_back(ConfigNode::scalar(fmt::format("{}", item)));
    list(name, ConfigNode::sequence(std::move(items)), with_range("list of integers", range_text(range)), help);
  }
  void tree(std::string_view name, ConfigNode& value, std::string_view help) override {
    list(name, value, "any YAML", help);
  }
  void choice_index(std::string_view name, int& index, std::span<const std::string_view> names,
                    std::string_view help) override {
    LOWBIT_ASSERT(index >= 0 && static_cast<std::size_t>(index) < names.size());
    list(name, ConfigNode::string(std::string(names[static_cast<std::size_t>(index)])),
         fmt::format("one of {}", fmt::join(names, ", ")), help);
  }

 private:
  static std::string with_range(std::string_view type, const std::string& range) {
    if (range.empty()) return std::string(type);
    return fmt::format("{}{} {}", type, range.starts_with("at ") ? "," : "", range);
  }
};

class FieldDescriber : public FieldListing {
 public:
  explicit FieldDescriber(std::vector<FieldDescription>& out) : out_(out) {}
  void required(std::string_view name) override { required_.emplace_back(name); }

 protected:
  void list(std::string_view name, ConfigNode value, std::string type, std::string_view help) override {
    const bool is_required = std::find(required_.begin(), required_.end(), name) != required_.end();
    out_.push_back(
        {std::string(name), std::move(type), is_required ? "" : to_flow_yaml(value), std::string(help), is_required});
  }

 private:
  std::vector<FieldDescription>& out_;
  std::vector<std::string> required_;
};

class FieldEcho : public FieldListing {
 public:
  explicit FieldEcho(std::vector<ConfigNode::Entry>& out) : out_(out) {}

 protected:
  void list(std::string_view name, ConfigNode value, std::string, std::string_view) override {
    out_.push_back({ConfigNode::scalar(std::string(name)), std::move(value)});
  }

 private:
  std::vector<ConfigNode::Entry>& out_;
};

}  // namespace

std::unique_ptr<FieldVisitor> make_field_describer(std::vector<FieldDescription>& out) {
  return std::make_unique<FieldDescriber>(out);
}

std::unique_ptr<FieldVisitor> make_field_echo(std::vector<ConfigNode::Entry>& out) {
  return std::make_unique<FieldEcho>(out);
}

}  // namespace lowbit
