#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/base/random.h"

namespace lowbit::testing {

/// Standard normal numbers, the same for the same name.
template <typename Number>
std::vector<Number> normals(std::int64_t count, const char* name) {
  const Random random(17, name);
  std::vector<Number> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<Number>(random.normal(static_cast<std::uint64_t>(i))));
  }
  return values;
}

}  // namespace lowbit::testing
