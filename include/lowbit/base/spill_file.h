#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Working memory that lies in a file: what is released leaves the process's resident memory and comes back from the
/// disk when it is touched. The file has no name, so that nothing is left of it however the process ends.
class SpillFile {
 public:
  /// Room for `bytes` on the disk of `folder`. Throws `kIo`, naming the folder, when there is not so much.
  [[nodiscard]] static std::shared_ptr<SpillFile> make(const std::filesystem::path& folder, std::size_t bytes);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }
  /// Says that these bytes will not be touched for a while. They keep their content.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  SpillFile(std::byte* data, std::size_t size);
  std::byte* data_;
  std::size_t size_;
};

}  // namespace LOWBIT_EXPORT
