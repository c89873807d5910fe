#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowbit {

/// The content of a gzip stream (its members one after the other). Stops early, in the middle, once the text holds
/// `lines` line feeds (0: never). Throws `kData` as "<origin>: ..." when it is damaged, ends too soon or unpacks to
/// more than `limit` bytes.
[[nodiscard]] std::string gunzip(std::string_view packed, std::string_view origin, std::uint64_t limit,
                                 std::int64_t lines = 0);

}  // namespace lowbit
