#pragma once

#include <string_view>

namespace lowbit {

/// Whether a serialized sentencepiece model codes each word for itself, as long as no piece holds a space behind
/// another character: BPE, words not marked by a suffix, text taken as it is (no character map, no spaces removed).
/// False for what is no such model.
bool may_code_by_words(std::string_view model);

/// Whether a serialized model can be read to its end, and all its character maps are sound; only such a model may be
/// given to the library.
bool has_sound_character_maps(std::string_view model);

}  // namespace lowbit
