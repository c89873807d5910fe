#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// A whole file mapped read-only. Views into it are valid while any copy of the `shared_ptr` lives.
class MappedFile {
 public:
  /// Throws `kData` when the file is missing or not a regular file, `kIo` when the system refuses.
  [[nodiscard]] static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Copies `part` of `bytes()` to `out` without mapping its pages into this process's memory: for what is read once.
  /// Throws `kIo` when the system refuses, `kData` when the file has become shorter.
  void copy_part(std::span<const std::byte> part, std::byte* out) const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, std::size_t size, int descriptor);
  std::filesystem::path path_;
  const std::byte* data_;
  std::size_t size_;
  int descriptor_;
};

/// The content of a text file, at most `limit` bytes. Throws `kData` when it is missing or larger.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t{1} << 30);

/// Writes a file that appears under its name only when it is whole: to a temporary in the same folder, flushed to
/// disk, renamed by `commit`, the folder flushed too. Without `commit` the temporary is removed. Throws `kIo`, naming
/// file and reason ("no space left on device").
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t on_its_way_ = 0;  // of it the disk was told
};

void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Makes the folder and its parents. Throws `kIo`.
void make_folders(const std::filesystem::path& path);
/// Bytes free for us on the disk that holds `path` or its nearest existing parent.
[[nodiscard]] std::uint64_t free_disk_bytes(const std::filesystem::path& path);
/// $XDG_CACHE_HOME/lowbit or ~/.cache/lowbit.
[[nodiscard]] std::filesystem::path user_cache_folder();
/// "1.5 GiB", "312 KiB", "17 B"; one decimal below 100.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

}  // namespace lowbit
