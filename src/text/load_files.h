#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/text/tokenizer.h"
#include "text/added_tokens.h"

namespace lowbit {

/// What lies beside a tokenizer in a model's folder and changes what it does.
struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> legacy;
  std::optional<bool> add_prefix_space;
  std::vector<AddedToken> added;           // of added_tokens_decoder and added_tokens.json
  std::vector<std::string> named_special;  // bos, eos, unk, pad and the like
};

/// From tokenizer_config.json, special_tokens_map.json and added_tokens.json, those that exist. The first wins.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder);

std::unique_ptr<Tokenizer> tokenizer_from_json(const std::filesystem::path& file, const TokenizerConfig& config);
std::unique_ptr<Tokenizer> tokenizer_from_sentencepiece(const std::filesystem::path& file,
                                                        const TokenizerConfig& config);

/// Adds what the config decides to a fingerprint.
void add_config(Hasher& hasher, const TokenizerConfig& config);

}  // namespace lowbit
