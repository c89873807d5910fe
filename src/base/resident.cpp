#include "lowbit/base/resident.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

#include "lowbit/base/error.h"

namespace lowbit {

void release_resident(const MappedFile& file, std::span<const std::byte> part) noexcept {
  // With an address that is touched the kernel maps its neighbours: within 64 KiB, and farther away in files of 32 MiB
  // and more (Linux 6.18). Within 2 MiB nothing stays.
  constexpr std::size_t kWindow = std::size_t{2} << 20;
  const std::span<const std::byte> whole = file.bytes();
  if (part.empty() || part.data() < whole.data() || part.data() + part.size() > whole.data() + whole.size()) return;
  const auto first = static_cast<std::size_t>(part.data() - whole.data());
  const std::size_t begin = first / kWindow * kWindow;
  const std::size_t end = std::min(whole.size(), (first + part.size() + kWindow - 1) / kWindow * kWindow);
  ::madvise(const_cast<std::byte*>(whole.data()) + begin, end - begin, MADV_DONTNEED);
}

void read_ahead(const MappedFile& file, std::span<const std::byte> part) noexcept {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::span<const std::byte> whole = file.bytes();
  const auto* first = std::max(part.data(), whole.data());
  const auto* last = std::min(part.data() + part.size(), whole.data() + whole.size());
  if (first >= last) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(first) / page * page;
  ::madvise(reinterpret_cast<void*>(begin), reinterpret_cast<std::uintptr_t>(last) - begin, MADV_WILLNEED);
}

std::int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  fail(ErrorCode::kIo, "/proc/self/status does not say what memory this process has held (VmHWM)");
}

void release_freed_memory() noexcept { ::malloc_trim(0); }

}  // namespace lowbit
