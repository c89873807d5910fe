#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit LOWBIT_EXPORT {

class MappedFile;

/// A metadata value. Integers of all widths are int64 (u64 above its range is an error), floats double. Arrays hold
/// one kind; nested arrays are refused.
using GgufValue = std::variant<bool, std::int64_t, double, std::string, std::vector<bool>, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;

/// A GGUF file (versions 2 and 3, little endian), memory-mapped and checked: every length against the bytes that are
/// left before anything is allocated, offsets aligned, inside the file and not overlapping, names unique, UTF-8 keys.
/// Token strings may be any bytes. Throws `kData` as "<path>: ...", naming key, tensor or byte position; `kUnsupported`
/// for version 1, versions above 3 and big-endian files. A tensor of type `kOther` (the IQ types) is listed with its
/// data.
///
/// Metadata values stay in the file until they are first asked for, so that opening a hostile file costs no more memory
/// than its bytes justify. All look-ups may be made from any thread.
class GgufFile {
 public:
  [[nodiscard]] static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);
  ~GgufFile();

  [[nodiscard]] const std::filesystem::path& path() const;
  /// What the tensors' data lies in.
  [[nodiscard]] const std::shared_ptr<const MappedFile>& mapping() const;
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const;        ///< in the file's order
  [[nodiscard]] const TensorEntry* find(std::string_view name) const;   ///< null when absent
  [[nodiscard]] const GgufValue* metadata(std::string_view key) const;  ///< null when absent
  [[nodiscard]] std::vector<std::string> metadata_keys() const;         ///< in the file's order

  /// Typed look-ups, with no conversion between kinds; throw `kData` naming the key when it is absent (without a
  /// default) or of another kind.
  [[nodiscard]] std::string string(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] double real(std::string_view key) const;
  [[nodiscard]] double real(std::string_view key, double fallback) const;
  [[nodiscard]] bool boolean(std::string_view key, bool fallback) const;
  [[nodiscard]] const std::vector<std::string>& strings(std::string_view key) const;
  [[nodiscard]] const std::vector<std::int64_t>& integers(std::string_view key) const;
  [[nodiscard]] const std::vector<double>& reals(std::string_view key) const;

 private:
  struct Data;
  explicit GgufFile(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace LOWBIT_EXPORT
