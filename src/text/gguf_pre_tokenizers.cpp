#include "text/gguf_pre_tokenizers.h"

#include <array>
#include <string>

#include "lowbit/base/error.h"
#include "text/byte_level.h"

namespace lowbit {
namespace {

using Patterns = std::span<const std::string_view>;

// The names and patterns are llama.cpp's, which reads and writes them.
constexpr std::array<std::string_view, 1> kGpt2 = {kGpt2Pattern};
constexpr std::array<std::string_view, 2> kSingleDigits = {R"(\p{N})", kGpt2Pattern};
constexpr std::array<std::string_view, 1> kLlama3 = {
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kQwen2 = {
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 3> kFalcon = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, "[0-9][0-9][0-9]"};
constexpr std::array<std::string_view, 4> kDefault = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)",
                                                      "[0-9][0-9][0-9]"};
constexpr std::array<std::string_view, 5> kDeepseekCoder = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                                            R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)",
                                                            R"(\p{N})"};

const auto& known() {
  static const std::array<GgufPreTokenizer, 23> all = {{
      {"codeshell", Patterns(kSingleDigits)},
      {"command-r", Patterns(kSingleDigits)},
      {"dbrx", Patterns(kLlama3)},
      {"deepseek-coder", Patterns(kDeepseekCoder)},
      {"deepseek-r1-qwen", Patterns(kQwen2)},
      {"default", Patterns(kDefault)},
      {"exaone", Patterns(kSingleDigits)},
      {"falcon", Patterns(kFalcon)},
      {"gpt-2", Patterns(kGpt2)},
      {"jais", Patterns(kGpt2)},
      {"llama-bpe", Patterns(kLlama3), true, true},
      {"llama-v3", Patterns(kLlama3), true, true},
      {"llama3", Patterns(kLlama3), true, true},
      {"megrez", Patterns(kQwen2)},
      {"minerva-7b", Patterns(kSingleDigits)},
      {"mpt", Patterns(kGpt2)},
      {"olmo", Patterns(kGpt2)},
      {"phi-2", Patterns(kGpt2)},
      {"qwen2", Patterns(kQwen2)},
      {"refact", Patterns(kSingleDigits)},
      {"smaug-bpe", Patterns(kLlama3)},
      {"smollm", Patterns(kSingleDigits)},
      {"starcoder", Patterns(kSingleDigits)},
  }};
  return all;
}

}  // namespace

const GgufPreTokenizer& find_gguf_pre_tokenizer(std::string_view name, std::string_view origin) {
  std::string names;
  for (const GgufPreTokenizer& entry : known()) {
    if (entry.name == name) return entry;
    names += names.empty() ? "" : ", ";
    names += entry.name;
  }
  fail(ErrorCode::kUnsupported, "{}: the pre-tokenizer 'tokenizer.ggml.pre' = '{}' is not supported; known are {}",
       origin, name, names);
}

}  // namespace lowbit
