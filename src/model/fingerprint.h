#pragma once

#include <filesystem>

#include "lowbit/base/hash.h"

namespace lowbit {

/// The hash of a file's bytes. Remembered in the user's cache folder by path, size and time of change, so that a large
/// model is read once; a cache that cannot be read or written is done without.
[[nodiscard]] Hash file_fingerprint(const std::filesystem::path& path);

}  // namespace lowbit
