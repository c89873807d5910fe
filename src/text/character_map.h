#pragma once

#include <string_view>

namespace lowbit {

/// Whether a sentencepiece model's precompiled character map can be followed without leaving it. The library walks its
/// double array and its texts as they are, so a map that leads outside would have it read memory that is not its own.
/// An empty map is sound.
[[nodiscard]] bool is_sound_character_map(std::string_view map);

}  // namespace lowbit
