#include "lowbit/base/spill_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"

namespace lowbit {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& folder, std::size_t bytes, int error) {
  fail(ErrorCode::kIo, "cannot set {} of '{}' aside for what does not fit into memory: {}", format_bytes(bytes),
       folder.string(), std::system_category().message(error));
}

}  // namespace

SpillFile::SpillFile(std::byte* data, std::size_t size) : data_(data), size_(size) {}

SpillFile::~SpillFile() {
  if (size_ > 0) ::munmap(data_, size_);
}

std::shared_ptr<SpillFile> SpillFile::make(const std::filesystem::path& folder, std::size_t bytes) {
  if (bytes == 0) return std::shared_ptr<SpillFile>(new SpillFile(nullptr, 0));
  std::string name = (folder / ".spill-XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) refuse(folder, bytes, errno);
  ::unlink(name.c_str());
  // Without its blocks reserved, a full disk would end the process at some later store.
  int error = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  void* mapped = MAP_FAILED;
  if (error == 0) {
    mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) error = errno;
  }
  ::close(descriptor);
  if (error != 0) refuse(folder, bytes, error);
  return std::shared_ptr<SpillFile>(new SpillFile(static_cast<std::byte*>(mapped), bytes));
}

void SpillFile::release(std::span<const std::byte> part) const noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  if (part.empty() || part.data() < data_ || part.data() + part.size() > data_ + size_) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size());
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace lowbit
