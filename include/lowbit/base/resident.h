#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/base/export.h"
#include "lowbit/base/files.h"

namespace lowbit LOWBIT_EXPORT {

/// Says that this part of a file was read and will hardly be read again soon: its pages leave the process's resident
/// memory, and come back from the system's cache when they are touched all the same. Views stay valid.
void release_resident(const MappedFile& file, std::span<const std::byte> part) noexcept;

/// Says that this part of a file will soon be read (`MappedFile::copy_part`): the system fetches it from the disk
/// meanwhile. What lies outside the file is left out.
void read_ahead(const MappedFile& file, std::span<const std::byte> part) noexcept;

/// The most that this process held in memory at once, in bytes (Linux's VmHWM). Its ru_maxrss would begin with the peak
/// of the process that spawned it.
[[nodiscard]] std::int64_t peak_resident_bytes();

/// Gives back to the system what was freed and the heap still keeps. For the turn from one phase of long work to
/// another, whose pieces of memory have other sizes.
void release_freed_memory() noexcept;

}  // namespace LOWBIT_EXPORT
