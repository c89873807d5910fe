#pragma once

#include <span>
#include <string_view>

namespace lowbit {

/// How a GGUF file's "tokenizer.ggml.pre" cuts words: patterns applied one after the other, matches isolated.
struct GgufPreTokenizer {
  std::string_view name;
  std::span<const std::string_view> patterns;
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
};

/// Throws `kUnsupported`, with the names that are known.
const GgufPreTokenizer& find_gguf_pre_tokenizer(std::string_view name, std::string_view origin);

}  // namespace lowbit
