#pragma once

#include <cstdint>

namespace lowbit {

/// ru_maxrss of this process, in bytes.
[[nodiscard]] std::int64_t peak_memory_bytes();
/// What this process holds now that is no file mapping.
[[nodiscard]] std::int64_t anonymous_memory_bytes();
/// What the system could give without swapping.
[[nodiscard]] std::int64_t available_memory_bytes();

}  // namespace lowbit
