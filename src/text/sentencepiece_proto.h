#pragma once

#include <string_view>

namespace lowbit {

/// Whether a serialized sentencepiece model codes each word for itself, as long as no piece holds a space behind
/// another character: BPE, words not marked by a suffix, text taken as it is (no character map, no spaces removed).
/// False for what is no such model.
bool may_code_by_words(std::string_view model);

}  // namespace lowbit
