#pragma once

#include <string>

namespace lowbit {

[[nodiscard]] double wall_seconds();
/// Of all threads of this process.
[[nodiscard]] double processor_seconds();
/// "AMD EPYC", as the system names it; "unknown" where it does not.
[[nodiscard]] std::string processor_name();

}  // namespace lowbit
