#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace lowbit {

/// The SHA-256 digest (FIPS 180-4) in 64 lower-case hexadecimal digits, as `sha256sum` prints it.
[[nodiscard]] std::string sha256(std::span<const std::byte> bytes);

}  // namespace lowbit
