#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "lowbit/base/export.h"

// What makes long work survive the death of its process.
namespace lowbit LOWBIT_EXPORT {

/// Removes the temporaries that killed writers (`AtomicFile`) left in `folder`: of `file`, or of any. Those of living
/// writers stay.
void remove_abandoned_writes(const std::filesystem::path& folder, std::string_view file = {});

/// A folder in which a long piece of work keeps what it has finished, found again under its key after the process was
/// killed. Locked while the object lives: of two processes with one key the second gets a folder of its own, once it
/// has waited for the first, which may be about to end, as long as `patience`. It stays on the disk until `remove`.
/// Throws `kIo`.
class WorkFolder {
 public:
  WorkFolder(const std::filesystem::path& parent, std::string_view key,
             std::chrono::milliseconds patience = std::chrono::seconds(5));
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The work is done and its result stored: removes this folder, and those of the same key that nobody holds.
  void remove();

 private:
  [[nodiscard]] std::filesystem::path numbered(int number) const;
  std::filesystem::path first_;
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// As `AtomicFile`, but written in `part`, on the same disk, which stays when there is no `commit`: the next attempt
/// finds its bytes there and may keep them. Throws `kIo`.
class ResumableFile {
 public:
  ResumableFile(std::filesystem::path path, std::filesystem::path part);
  ~ResumableFile();
  ResumableFile(const ResumableFile&) = delete;
  ResumableFile& operator=(const ResumableFile&) = delete;

  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Goes on behind the next `size` bytes, which an earlier attempt wrote.
  void keep(std::uint64_t size) { size_ += size; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path part_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace lowbit
