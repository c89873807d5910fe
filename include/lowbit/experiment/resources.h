#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/config/node.h"

namespace lowbit LOWBIT_EXPORT {

/// Where lowbit's own files (datasets/, configs/) and the user's data lie.
struct Resources {
  std::vector<std::filesystem::path> shares;        ///< folders that hold datasets/, configs/ and templates/
  std::vector<std::filesystem::path> data_folders;  ///< searched for dataset and model files, in order
  [[nodiscard]] std::vector<std::filesystem::path> dataset_folders() const;
};

/// The current folder, <prefix>/share/lowbit of an installed program or of the installed liblowbit.so that a program
/// uses, and the source tree when the program runs from a build folder; of these, in this order, those that hold
/// datasets/ and configs/. `extra_data` comes before the user's cache.
[[nodiscard]] Resources find_resources(const std::vector<std::filesystem::path>& extra_data = {});

/// A model as experiments and the command line name it: configs/models/<name>.yaml, or a path.
struct ModelEntry {
  std::string name;  ///< short, for tables
  std::filesystem::path path;
  std::string remedy;
  SourceMark mark;
};
/// Throws `kConfig` for an unknown name (with the nearest one), `kData` when the model's file is missing (with the
/// remedy).
[[nodiscard]] ModelEntry find_model(const std::string& name, const Resources& resources, const SourceMark& mark = {});
[[nodiscard]] std::vector<std::string> known_models(const Resources& resources);

}  // namespace lowbit
