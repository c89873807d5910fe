#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/data/dataset.h"

namespace lowbit {

/// The most that is read of one file, unpacked.
inline constexpr std::uint64_t kMaxTextBytes = std::uint64_t{4} << 30;

/// A file as it is: unpacked when its name says so (data/unpack.h), without a byte order mark; only the first `lines`
/// lines (0: all).
[[nodiscard]] std::string read_bytes(const std::filesystem::path& path, std::int64_t lines = 0,
                                     std::uint64_t limit = kMaxTextBytes);

/// The text of a file: unpacked when its name says so (data/unpack.h), checked to be UTF-8, without a byte order mark;
/// only the first `lines` lines (0: all). Throws `kData` naming file, line and byte.
[[nodiscard]] std::string read_text(const std::filesystem::path& path, std::int64_t lines = 0,
                                    std::uint64_t limit = kMaxTextBytes);

/// Cuts a text into documents by the definition's reader, at most `most` of them (0: all). `origin` is named in errors.
[[nodiscard]] std::vector<std::string> read_documents(const DatasetDefinition& definition, std::string_view text,
                                                      std::string_view origin, std::int64_t most = 0);

/// Whether one line of a file is one document, so that reading may stop early.
[[nodiscard]] bool reads_by_line(RowReader reader);

}  // namespace lowbit
