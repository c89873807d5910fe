#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "session.h"

namespace lowbit::cli {
namespace {

namespace fs = std::filesystem;

struct NewArguments {
  std::string name;
  std::string folder;
};

void check_name(const std::string& name) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const bool good = !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
  });
  if (!good) {
    fail(ErrorCode::kConfig,
         "'{}' cannot name a plugin: expected lower-case letters, digits and '_', such as 'my_quantizer', since its "
         "files and its class are named after it",
         name);
  }
}

fs::path template_folder(const Resources& resources) {
  std::error_code error;
  for (const fs::path& share : resources.shares) {
    if (fs::path folder = share / "templates" / "plugin"; fs::is_directory(folder, error)) return folder;
  }
  fail(ErrorCode::kIo,
       "the folder 'templates/plugin' was not found beside 'datasets' and 'configs'; install lowbit whole");
}

// "my_quantizer" -> "MyQuantizer"
std::string class_name(const std::string& name) {
  std::string result;
  bool capital = true;
  for (const char c : name) {
    if (c != '_') result += capital && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    capital = c == '_';
  }
  return result;
}

std::string filled_in(std::string text, const std::string& name) {
  const std::pair<std::string, std::string> replacements[] = {{"@name@", name}, {"@Class@", class_name(name)}};
  for (const auto& [key, value] : replacements) {
    for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + value.size())) {
      text.replace(at, key.size(), value);
    }
  }
  return text;
}

int new_plugin(const Session& session, const NewArguments& arguments) {
  session.start();
  check_name(arguments.name);
  const fs::path source = template_folder(session.resources());
  const fs::path folder = arguments.folder.empty() ? fs::path(arguments.name) : fs::path(arguments.folder);
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error))
    fail(ErrorCode::kIo, "'{}' is there already; give a folder that is empty or new by --output", folder.string());
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(source)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const fs::path target = folder / filled_in(file.lexically_relative(source).string(), arguments.name);
    make_folders(target.parent_path());
    write_file_atomically(target, filled_in(read_file(file), arguments.name));
    fmt::print("{}\n", target.string());
  }
  fmt::print("\nRead {} next.\n", (folder / "README.md").string());
  return 0;
}

}  // namespace

void add_plugin(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("plugin", "Make a plugin: a quantizer of your own as a shared library");
  command->require_subcommand(1);
  CLI::App* make = command->add_subcommand("new", "Write a small CMake project: a solver, its test and a README");
  auto arguments = std::make_shared<NewArguments>();
  make->add_option("name", arguments->name, "Name of plugin and solver, such as my_quantizer")->required();
  make->add_option("-o,--output", arguments->folder, "Folder to write; by default the name");
  make->callback(
      [arguments, &session] { session.command = [arguments, &session] { return new_plugin(session, *arguments); }; });
}

}  // namespace lowbit::cli
