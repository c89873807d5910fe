#include "lowbit/base/resident.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>

namespace lowbit {

void release_resident(const MappedFile& file, std::span<const std::byte> part) noexcept {
  // The kernel maps up to 64 KiB around an address that is touched, aligned to as much.
  constexpr std::size_t kWindow = std::size_t{64} << 10;
  const std::span<const std::byte> whole = file.bytes();
  if (part.empty() || part.data() < whole.data() || part.data() + part.size() > whole.data() + whole.size()) return;
  const auto first = static_cast<std::size_t>(part.data() - whole.data());
  const std::size_t begin = first / kWindow * kWindow;
  const std::size_t end = std::min(whole.size(), (first + part.size() + kWindow - 1) / kWindow * kWindow);
  ::madvise(const_cast<std::byte*>(whole.data()) + begin, end - begin, MADV_DONTNEED);
}

void release_freed_memory() noexcept { ::malloc_trim(0); }

}  // namespace lowbit
