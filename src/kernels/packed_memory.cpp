#include "kernels/packed_memory.h"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace lowbit::kernels {

#if defined(__linux__)

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kLargePage = std::size_t{2} << 20;

std::size_t rounded_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

// `bytes` from an address that is a multiple of a large page; null when the system has none.
std::uint8_t* map_large(std::size_t bytes) {
  const std::size_t reserved = bytes + kLargePage;
  void* const mapped = ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::uint8_t*>(mapped);
  const std::size_t skipped =
      rounded_up(reinterpret_cast<std::uintptr_t>(begin), kLargePage) - reinterpret_cast<std::uintptr_t>(begin);
  if (skipped > 0) ::munmap(begin, skipped);
  if (skipped < kLargePage) ::munmap(begin + skipped + bytes, kLargePage - skipped);
  // Not the rest of the last one, which would count as the process's memory. Refused, pages are small.
  ::madvise(begin + skipped, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
  return begin + skipped;
}

}  // namespace

void FreePacked::operator()(std::uint8_t* data) const {
  if (mapped > 0) {
    ::munmap(data, mapped);
  } else {
    ::operator delete (data, std::align_val_t{kAlignment});
  }
}

PackedBytes take_packed(std::size_t bytes) {
  if (bytes >= kLargePage) {
    const std::size_t whole = rounded_up(bytes, kPage);
    PackedBytes taken(map_large(whole), FreePacked{whole});
    if (taken == nullptr) throw std::bad_alloc();
    for (std::size_t page = 0; page + kLargePage <= whole; page += kLargePage) taken.get()[page] = 0;
    return taken;
  }
  return {static_cast<std::uint8_t*>(::operator new (bytes, std::align_val_t{kAlignment})), FreePacked{}};
}

#else

void FreePacked::operator()(std::uint8_t* data) const { ::operator delete (data, std::align_val_t{kAlignment}); }

PackedBytes take_packed(std::size_t bytes) {
  return {static_cast<std::uint8_t*>(::operator new (bytes, std::align_val_t{kAlignment})), FreePacked{}};
}

#endif

}  // namespace lowbit::kernels
