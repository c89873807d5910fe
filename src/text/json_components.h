#pragma once

#include <memory>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/decoder.h"
#include "text/json_node.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace lowbit {

/// The components of a tokenizer.json, made from their JSON. All throw `kData` for a wrong value and `kUnsupported`,
/// naming the component, for one that lowbit does not have.
std::unique_ptr<Normalizer> normalizer_from_json(const JsonNode& node);
std::unique_ptr<PreTokenizer> pre_tokenizer_from_json(const JsonNode& node);
std::unique_ptr<Decoder> decoder_from_json(const JsonNode& node);
std::unique_ptr<BpeModel> bpe_from_json(const JsonNode& node);
std::vector<AddedToken> added_tokens_from_json(const JsonNode& list);
AddedToken added_token_from_json(const JsonNode& node, TokenId id);
TokenId token_id_from_json(const JsonNode& node);

/// Tokens around a text.
struct TokenFrame {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};
TokenFrame frame_from_json(const JsonNode& post_processor);

/// {"Regex": "..."} or {"String": "..."}.
Regex pattern_from_json(const JsonNode& node);

}  // namespace lowbit
