#include "config/parser.h"

#include <fmt/format.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include "config/limits.h"
#include "config/scalar_text.h"
#include "config/source_text.h"
#include "config/tree_builder.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// What yaml-cpp says -> what helps.
std::string explain(std::string_view message) {
  struct Explanation {
    std::string_view theirs;
    std::string_view ours;
  };
  static constexpr std::array kExplanations = {
      Explanation{"illegal map value",
                  "a ':' stands where no value can start; put a text that contains ': ' in quotes"},
      Explanation{"illegal map key", "a key stands where none can be; check the indentation"},
      Explanation{"illegal block entry", "a '- ' stands where no list item can be; check the indentation"},
      Explanation{"illegal flow end", "a ']' or '}' without its opening bracket"},
      Explanation{"end of sequence flow not found", "a '[' is not closed, expected ',' or ']'"},
      Explanation{"end of map flow not found", "a '{' is not closed, expected ',' or '}'"},
      Explanation{"end of map not found", "expected a further key or the end of the map; check the indentation"},
      Explanation{"end of sequence not found", "expected a further '- ' or the end of the list; check the indentation"},
      Explanation{"illegal EOF in scalar", "a text in quotes is not closed"},
      Explanation{"illegal tab", "a tab is used to indent; use spaces"},
      Explanation{"illegal document indicator in scalar", "'---' or '...' within a text in quotes"},
      Explanation{"unknown token", "this character cannot start a value; put the text in quotes"},
      Explanation{"referenced anchor is not defined", "an alias names an anchor that is not defined above it"},
      Explanation{"unknown escape character", "unknown escape in a text in double quotes; write a backslash as \\\\"},
  };
  for (const Explanation& explanation : kExplanations) {
    if (message.find(explanation.theirs) != std::string_view::npos) return std::string(explanation.ours);
  }
  return std::string(message);
}

std::optional<std::size_t> find_control_character(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) return i;
  }
  return std::nullopt;
}

void check_text(std::string_view text, SourceText& source, ConfigProblems& problems) {
  if (const auto position = find_invalid_utf8(text)) {
    problems.add(source.mark_of_byte(*position), fmt::format("invalid UTF-8 (byte 0x{:02x}); save the file as UTF-8",
                                                             static_cast<unsigned char>(text[*position])));
  } else if (const auto control = find_control_character(text)) {
    problems.add(source.mark_of_byte(*control),
                 fmt::format("control character 0x{:02x}; write it as \"\\x{:02x}\" in double quotes", text[*control],
                             text[*control]));
  }
}

// yaml-cpp passes over directives that it does not know, and with them over a text that merely begins with '%'.
void check_directives(std::string_view text, SourceText& source, ConfigProblems& problems) {
  for (std::size_t line = 0; !text.empty(); ++line) {
    const std::size_t start = std::min(text.find_first_not_of(" \t\r"), text.size());
    const bool passed_over = start == text.size() || text[start] == '\n' || text[start] == '#';
    if (!passed_over && !text.starts_with('%')) return;
    if (text.starts_with('%') && !text.starts_with("%YAML 1.")) {
      problems.add(source.mark(line, 0), "a line that begins with '%'; expected a key, or %YAML 1.2");
    }
    const std::size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

}  // namespace

ConfigNode parse_yaml(std::string_view yaml, std::string file, int first_column) {
  if (yaml.size() > kMaxConfigBytes) {
    fail(ErrorCode::kConfig, "{}: has {} bytes, expected at most {}", file, yaml.size(), kMaxConfigBytes);
  }
  if (yaml.starts_with(kByteOrderMark)) yaml.remove_prefix(kByteOrderMark.size());
  // A file means the same with and without its last line break. Without it, yaml-cpp gives what ends there the place of
  // the start of its line.
  const std::string text = std::string(yaml) + (yaml.ends_with('\n') ? "" : "\n");
  SourceText source(text, std::move(file), first_column);
  ConfigProblems problems;
  check_text(text, source, problems);
  check_directives(text, source, problems);
  problems.throw_if_any();

  TreeBuilder builder(source, problems);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) continue;
  } catch (const StopParsing&) {
  } catch (const YAML::Exception& problem) {
    const auto line = static_cast<std::size_t>(std::max(problem.mark.line, 0));
    const bool at_end = line > static_cast<std::size_t>(std::count(yaml.begin(), yaml.end(), '\n'));
    const SourceMark mark = at_end ? source.mark_of_byte(yaml.size())
                                   : source.mark(line, static_cast<std::size_t>(std::max(problem.mark.column, 0)));
    problems.add(mark, "not valid YAML: " + explain(problem.msg));
  }
  problems.throw_if_any();
  // An empty file has no node, and "missing key" must still name the file.
  if (builder.root().is_null() && builder.root().mark().file.empty()) return ConfigNode::null(source.mark(0, 0));
  return builder.root();
}

ConfigNode ConfigNode::parse(std::string_view yaml, std::string file_name) {
  return parse_yaml(yaml, std::move(file_name), 0);
}

ConfigNode ConfigNode::load(const std::filesystem::path& path) {
  std::string text;
  try {
    text = read_file(path, kMaxConfigBytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData) throw;
    throw Error(ErrorCode::kConfig, error.what());  // here the wrong file is a wrong argument
  }
  return parse(text, path.string());
}

std::pair<std::string, ConfigNode> parse_override(std::string_view argument) {
  const std::size_t equals = argument.find('=');
  const std::string_view path = argument.substr(0, std::min(equals, argument.size()));
  const bool bad_path =
      path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string_view::npos;
  if (equals == std::string_view::npos || bad_path || find_invalid_utf8(path)) {
    fail(ErrorCode::kConfig, "--set {}: expected path=value, for example recipes.gptq.0.gptq.bits=4", shown(argument));
  }
  // The column of the value counts characters; a path in ASCII has as many as bytes.
  const auto first_column = static_cast<int>(decode_utf8(argument.substr(0, equals + 1)).size());
  return {std::string(path), parse_yaml(argument.substr(equals + 1), "--set", first_column)};
}

}  // namespace lowbit
