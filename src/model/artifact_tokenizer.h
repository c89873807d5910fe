#pragma once

#include <filesystem>

#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// Puts the tokenizer of the model at `base` (a GGUF file or a Hugging Face folder) into `folder`, so that Hugging
/// Face's readers find it there: a folder's files are copied; a GGUF's vocabulary becomes tokenizer.json (byte-level
/// BPE) or tokenizer.model (sentencepiece BPE), with tokenizer_config.json. `tokenizer` is the one opened from `base`.
/// Throws `kUnsupported` naming a kind of vocabulary that cannot be written so.
void save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& base, const std::filesystem::path& folder);

}  // namespace lowbit
