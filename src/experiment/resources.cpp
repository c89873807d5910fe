#include "lowbit/experiment/resources.h"

#include <dlfcn.h>

#include <algorithm>
#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/config/fields.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

// configs/models/<name>.yaml
struct ModelDefinition {
  std::string name;
  std::string summary;
  std::string licence;
  std::string remedy;
  std::vector<std::string> files;  // tried in order, relative to the data folders
  void visit(FieldVisitor& v) {
    v.required("name");
    v.field("name", name, "how experiment files call the model");
    v.field("summary", summary, "one sentence");
    v.field("licence", licence, "licence of the weights");
    v.field("remedy", remedy, "what to do when no file is there");
    v.required("files");
    v.field("files", files, "a file or folder, relative to a data folder; the first that exists is taken");
  }
};

bool holds_shares(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "datasets", error) && fs::is_directory(folder / "configs", error);
}

void add_share(std::vector<fs::path>& shares, const fs::path& folder) {
  if (holds_shares(folder) && std::find(shares.begin(), shares.end(), folder) == shares.end()) shares.push_back(folder);
}

// Where this code lies: liblowbit.so, also when another program uses it.
fs::path library_file() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&find_resources), &info) == 0) return {};
  std::error_code error;
  return fs::canonical(info.dli_fname, error);
}

ModelDefinition load_definition(const fs::path& file) {
  const ConfigNode node = ConfigNode::load(file);
  ConfigProblems problems;
  ModelDefinition definition;
  decode_fields(node, definition, problems);
  problems.throw_if_any();
  return definition;
}

fs::path definition_file(const std::string& name, const Resources& resources) {
  std::error_code error;
  for (const fs::path& share : resources.shares) {
    fs::path file = share / "configs" / "models" / (name + ".yaml");
    if (fs::is_regular_file(file, error)) return file;
  }
  return {};
}

std::string at(const SourceMark& mark) { return mark.text().empty() ? "" : mark.text() + ": "; }

bool looks_like_path(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(".gguf"); }

std::string name_of_path(const fs::path& path) {
  const fs::path clean = path.lexically_normal();
  const fs::path last = clean.has_filename() ? clean.filename() : clean.parent_path().filename();
  return last.extension() == ".gguf" ? last.stem().string() : last.string();
}

ModelEntry from_definition(const fs::path& file, const Resources& resources, const SourceMark& mark) {
  const ModelDefinition definition = load_definition(file);
  std::error_code error;
  std::string searched;
  for (const fs::path& folder : resources.data_folders) {
    for (const std::string& relative : definition.files) {
      if (fs::exists(folder / relative, error)) return {definition.name, folder / relative, definition.remedy, mark};
      searched += fmt::format("{}'{}'", searched.empty() ? "" : ", ", (folder / relative).string());
    }
  }
  fail(ErrorCode::kData, "{}model '{}' has no file: searched {}; {}", at(mark), definition.name, searched,
       definition.remedy.empty() ? "put it there" : definition.remedy);
}

}  // namespace

std::vector<fs::path> Resources::dataset_folders() const {
  std::vector<fs::path> folders;
  for (const fs::path& share : shares) folders.push_back(share / "datasets");
  return folders;
}

Resources find_resources(const std::vector<fs::path>& extra_data) {
  Resources resources;
  std::error_code error;
  add_share(resources.shares, fs::current_path(error));
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  add_share(resources.shares, program.parent_path().parent_path() / "share" / "lowbit");
  // <prefix>/lib/liblowbit.so, or a folder or two deeper where a system has one for each machine.
  fs::path folder = library_file().parent_path();
  for (int level = 0; level < 3; ++level)
    add_share(resources.shares, (folder = folder.parent_path()) / "share" / "lowbit");
  // A program in build/<preset>/bin stands three folders below its sources.
  for (folder = program.parent_path(); folder != folder.parent_path(); folder = folder.parent_path()) {
    add_share(resources.shares, folder);
  }
  resources.data_folders = extra_data;
  resources.data_folders.push_back(user_cache_folder());
  return resources;
}

std::vector<std::string> known_models(const Resources& resources) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::path& share : resources.shares) {
    for (const auto& entry : fs::directory_iterator(share / "configs" / "models", error)) {
      if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

ModelEntry find_model(const std::string& name, const Resources& resources, const SourceMark& mark) {
  if (name.starts_with("hf:")) {
    fail(ErrorCode::kUnsupported,
         "{}model '{}': this build fetches nothing from a hub; give the path of a local folder", at(mark), name);
  }
  if (const fs::path file = definition_file(name, resources); !file.empty()) {
    return from_definition(file, resources, mark);
  }
  std::error_code error;
  if (fs::exists(name, error)) return {name_of_path(name), fs::absolute(name, error).lexically_normal(), "", mark};
  if (looks_like_path(name)) {
    fail(ErrorCode::kData, "{}model '{}': no such file or folder; expected a GGUF file or a Hugging Face folder",
         at(mark), name);
  }
  fail(ErrorCode::kConfig, "{}unknown model '{}'{}; a path to a GGUF file or a Hugging Face folder will do as well",
       at(mark), name, suggestion(name, known_models(resources)));
}

}  // namespace lowbit
