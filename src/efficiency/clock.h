#pragma once

namespace lowbit {

[[nodiscard]] double wall_seconds();
/// Of all threads of this process.
[[nodiscard]] double processor_seconds();

}  // namespace lowbit
