#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace lowbit {

/// The bytes of a section of a shared library, read from the file and not from a loaded library; empty when there is no
/// such section. Throws `kPlugin` as "<origin>: ..." when the file is no whole 64-bit ELF shared object of this
/// machine.
[[nodiscard]] std::string_view elf_section(std::span<const std::byte> file, std::string_view name,
                                           std::string_view origin);

}  // namespace lowbit
