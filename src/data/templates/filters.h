#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/json.h"

namespace lowbit {

/// One filter as the documentation lists it.
struct FilterInfo {
  std::string_view name;
  std::size_t arguments;
  std::string_view help;
};
[[nodiscard]] const std::vector<FilterInfo>& template_filters();

/// The value behind the filter. Throws `kData` when the value (of `origin`) is of a kind that the filter cannot take.
[[nodiscard]] Json apply_filter(std::string_view name, const std::vector<std::string>& arguments, Json value,
                                std::string_view origin);

}  // namespace lowbit
