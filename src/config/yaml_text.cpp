#include "config/yaml_text.h"

#include <fmt/format.h>

#include <string_view>

#include "config/scalar_text.h"
#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

// YAML ends the search for a key's ':' after 1024 characters; longer keys need the '?' form.
constexpr std::size_t kMaxSimpleKey = 1000;

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Narrower than YAML allows, so that the text is plain for every reader, in block and in flow style.
bool is_safe_plain(std::string_view text) {
  if (text.empty() || text.back() == ' ') return false;
  if (!is_alphanumeric(text.front()) && text.front() != '_' && text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_alphanumeric(c) || std::string_view(" _-./+*@%()<>=^~$;|").find(c) != std::string_view::npos) continue;
    // A colon is safe where nobody can take it for the end of a key.
    if (c == ':' && i + 1 < text.size() && (is_alphanumeric(text[i + 1]) || text[i + 1] == '/')) continue;
    return false;
  }
  return true;
}

std::string in_double_quotes(const std::string& text) {
  if (find_invalid_utf8(text)) fail(ErrorCode::kConfig, "{} is not UTF-8 and cannot be written as YAML", shown(text));
  std::string out = "\"";
  for (const char32_t c : decode_utf8(text)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || (c >= 0x7F && c <= 0xA0)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else if (c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));  // line breaks, byte-order mark, not printable
    } else {
      append_utf8(out, c);
    }
  }
  return out + "\"";
}

std::string scalar_text(const ConfigNode& node) {
  const std::string& text = node.text();
  if (is_typed_text(text)) return node.quoted() ? in_double_quotes(text) : text;
  // Unquoted, these are null in YAML 1.2 or booleans in YAML 1.1.
  const bool misread = is_null_text(text) || read_legacy_boolean(text).has_value();
  return !misread && is_safe_plain(text) ? text : in_double_quotes(text);
}

void write_block(std::string& out, const ConfigNode& node, std::size_t indent);

// What follows "key:" on the same or on further lines.
void write_value(std::string& out, const ConfigNode& node, std::size_t indent) {
  if (node.entries().empty() && node.items().empty()) {
    out += " " + to_flow_yaml(node) + "\n";
  } else {
    out += "\n" + std::string(indent + 2, ' ');
    write_block(out, node, indent + 2);
  }
}

// Expects the indentation of the first line to be written already, and ends with a line break.
void write_block(std::string& out, const ConfigNode& node, std::size_t indent) {
  const std::string margin(indent, ' ');
  bool first = true;
  for (const ConfigNode& item : node.items()) {
    out += first ? "- " : margin + "- ";
    first = false;
    write_block(out, item, indent + 2);
  }
  for (const ConfigNode::Entry& entry : node.entries()) {
    if (!first) out += margin;
    first = false;
    const std::string key = scalar_text(entry.key);
    out += key.size() <= kMaxSimpleKey ? key + ":" : "? " + key + "\n" + margin + ":";
    write_value(out, entry.value, indent);
  }
  if (first) out += to_flow_yaml(node) + "\n";
}

}  // namespace

std::string to_flow_yaml(const ConfigNode& node) {
  std::string out;
  switch (node.kind()) {
    case ConfigNode::Kind::kNull: return "null";
    case ConfigNode::Kind::kScalar: return scalar_text(node);
    case ConfigNode::Kind::kSequence:
      for (const ConfigNode& item : node.items()) out += (out.empty() ? "" : ", ") + to_flow_yaml(item);
      return "[" + out + "]";
    case ConfigNode::Kind::kMap: break;
  }
  for (const ConfigNode::Entry& entry : node.entries()) {
    out += (out.empty() ? "" : ", ") + scalar_text(entry.key) + ": " + to_flow_yaml(entry.value);
  }
  return "{" + out + "}";
}

std::string ConfigNode::to_yaml() const {
  std::string out;
  write_block(out, *this, 0);
  return out;
}

}  // namespace lowbit
