#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Objects keep the order of the file. The header is heavy: include it in sources, not in public headers.
using Json = nlohmann::ordered_json;

/// Parses JSON from an untrusted file: bad UTF-8, duplicate keys, more than 64 levels and trailing text are errors.
/// Throws `kData` as "<origin>: ...", with the byte position.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view origin);

}  // namespace lowbit
