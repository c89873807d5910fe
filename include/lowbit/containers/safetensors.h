#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit LOWBIT_EXPORT {

class MappedFile;

/// One safetensors file, memory-mapped and strictly checked (no holes, overlaps, trailing bytes, overflowing shapes,
/// duplicate names, unknown keys). Throws `kData` as "<path>: tensor 'x': ...". The data need not be aligned to its
/// type.
class SafetensorsFile {
 public:
  [[nodiscard]] static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);
  ~SafetensorsFile();
  [[nodiscard]] const std::filesystem::path& path() const;
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const;  ///< in the order of their data
  [[nodiscard]] const TensorEntry* find(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const;
  /// What the tensors' data lies in.
  [[nodiscard]] const std::shared_ptr<const MappedFile>& mapping() const;

 private:
  struct Data;
  explicit SafetensorsFile(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

/// What a safetensors directory holds: `model.safetensors`, or the shards of `model.safetensors.index.json` (whose file
/// names must stay inside the folder). Returns the files in order. Throws `kData` when neither is there; a folder with
/// only pytorch_model*.bin is `kUnsupported`, and the message says how to convert.
[[nodiscard]] std::vector<std::filesystem::path> find_safetensors_files(const std::filesystem::path& folder);

/// Opens them all. A name that two files hold, or an index that disagrees with what its shards hold, is `kData`.
[[nodiscard]] std::vector<std::shared_ptr<const SafetensorsFile>> open_safetensors_folder(
    const std::filesystem::path& folder);

/// Writes a safetensors file atomically. Declare every tensor first, then write each one's bytes in the order that
/// `order()` gives; only one tensor need be in memory.
class SafetensorsWriter {
 public:
  using Declaration = TensorDeclaration;
  /// Throws `kInternal` for a name that repeats, a negative dimension or a type that safetensors does not know.
  SafetensorsWriter(std::filesystem::path path, std::vector<Declaration> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  ~SafetensorsWriter();
  /// Indices into the declared list, widest type first, then by name: the order in which data must be written.
  [[nodiscard]] const std::vector<std::size_t>& order() const;
  /// The next bytes; a tensor may come in pieces, but no piece may reach into the next tensor (`kInternal`).
  void write(const void* data, std::size_t size);
  /// Throws `kInternal` when bytes are missing; renames the file into place.
  void finish();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace LOWBIT_EXPORT
