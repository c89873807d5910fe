#include <algorithm>
#include <array>

#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"
#include "lowbit/containers/gguf.h"
#include "text/bpe_model.h"
#include "text/gguf_pre_tokenizers.h"
#include "text/pipeline_tokenizer.h"
#include "text/spm_model.h"
#include "text/word_boundary.h"

namespace lowbit {
namespace {

// Raised when the same file comes to give other tokens.
constexpr int kGgufTokenizerVersion = 1;

// Ends of turns and texts are control tokens, whatever type an old converter gave them.
constexpr std::array<std::string_view, 7> kAlwaysControl = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                                            "<|endoftext|>", "<|eom_id|>", "<EOT>"};

struct Tokens {
  std::vector<std::string> pieces;
  std::vector<PieceType> types;
};

Tokens read_tokens(const GgufFile& file, const std::string& origin) {
  Tokens tokens;
  tokens.pieces = file.strings("tokenizer.ggml.tokens");
  const std::size_t count = tokens.pieces.size();
  if (count == 0) fail(ErrorCode::kData, "{}: 'tokenizer.ggml.tokens' is empty", origin);
  tokens.types.assign(count, PieceType::kNormal);
  if (file.metadata("tokenizer.ggml.token_type") != nullptr) {
    const auto& types = file.integers("tokenizer.ggml.token_type");
    if (types.size() != count) {
      fail(ErrorCode::kData, "{}: {} tokens and {} token types, expected as many", origin, count, types.size());
    }
    for (std::size_t id = 0; id < count; ++id) {
      if (types[id] < 0 || types[id] > 6) {
        fail(ErrorCode::kData, "{}: token {} has the type {}, expected 1 to 6", origin, id, types[id]);
      }
      // 0 is "undefined"; it takes part like any other.
      if (types[id] != 0) tokens.types[id] = static_cast<PieceType>(types[id]);
    }
  }
  for (std::size_t id = 0; id < count; ++id) {
    std::string& piece = tokens.pieces[id];
    if (piece.empty()) piece = fmt::format("[EMPTY_{}]", id);
    if (find_invalid_utf8(piece)) fail(ErrorCode::kData, "{}: token {} is not well-formed UTF-8", origin, id);
    const bool control = std::find(kAlwaysControl.begin(), kAlwaysControl.end(), piece) != kAlwaysControl.end();
    if (control) tokens.types[id] = PieceType::kControl;
  }
  return tokens;
}

Vocabulary vocabulary_of(const Tokens& tokens, const std::string& origin) {
  Vocabulary vocabulary;
  for (std::size_t id = 0; id < tokens.pieces.size(); ++id) {
    vocabulary.add(tokens.pieces[id], static_cast<std::int64_t>(id), origin);
  }
  return vocabulary;
}

// What is looked for in the text itself.
std::vector<AddedToken> added_of(const Tokens& tokens) {
  std::vector<AddedToken> added;
  for (std::size_t id = 0; id < tokens.pieces.size(); ++id) {
    const PieceType type = tokens.types[id];
    const bool special = type == PieceType::kControl || type == PieceType::kUnknown;
    if (!special && type != PieceType::kUserDefined) continue;
    AddedToken token;
    token.content = tokens.pieces[id];
    token.id = static_cast<TokenId>(id);
    token.normalized = false;
    token.special = special;
    added.push_back(std::move(token));
  }
  return added;
}

std::optional<TokenId> id_of_key(const GgufFile& file, std::string_view key, std::size_t count,
                                 const std::string& origin) {
  const std::int64_t id = file.integer(key, -1);
  if (id == -1) return std::nullopt;
  if (id < 0 || id >= static_cast<std::int64_t>(count)) {
    fail(ErrorCode::kData, "{}: '{}' is {}, expected 0 to {}", origin, key, id, count - 1);
  }
  return static_cast<TokenId>(id);
}

// BOS and EOS: which they are and whether they are added.
void read_frame(const GgufFile& file, bool default_add_bos, std::size_t count, const std::string& origin,
                PipelineParts& parts) {
  parts.bos = id_of_key(file, "tokenizer.ggml.bos_token_id", count, origin);
  parts.eos = id_of_key(file, "tokenizer.ggml.eos_token_id", count, origin);
  const auto add = [&](std::string_view flag, bool fallback, std::optional<TokenId> id, std::string_view id_key,
                       std::vector<TokenId>& side) {
    if (!file.boolean(flag, fallback)) return;
    if (!id) fail(ErrorCode::kData, "{}: the tokenizer adds a token that '{}' does not name", origin, id_key);
    side.push_back(*id);
  };
  add("tokenizer.ggml.add_bos_token", default_add_bos, parts.bos, "tokenizer.ggml.bos_token_id", parts.before);
  add("tokenizer.ggml.add_eos_token", false, parts.eos, "tokenizer.ggml.eos_token_id", parts.after);
}

std::vector<BpeModel::Merge> read_merges(const GgufFile& file, const std::string& origin) {
  std::vector<BpeModel::Merge> merges;
  for (const std::string& merge : file.strings("tokenizer.ggml.merges")) {
    // Searched from 1: a merge whose first token is a space would start with one.
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos || space + 1 == merge.size()) {
      fail(ErrorCode::kData, "{}: merge {} is '{}', expected two tokens and a space between", origin, merges.size(),
           replace_invalid_utf8(merge));
    }
    merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return merges;
}

Hash fingerprint_of(const GgufFile& file, const Tokens& tokens, const PipelineParts& parts) {
  Hasher hasher;
  hasher.add("gguf tokenizer").add(kGgufTokenizerVersion).add(parts.kind);
  hasher.add(tokens.pieces.size());
  for (std::size_t id = 0; id < tokens.pieces.size(); ++id) {
    hasher.add(tokens.pieces[id]).add(static_cast<int>(tokens.types[id]));
  }
  if (file.metadata("tokenizer.ggml.scores") != nullptr) {
    for (const double score : file.reals("tokenizer.ggml.scores")) hasher.add(score);
  }
  if (file.metadata("tokenizer.ggml.merges") != nullptr) {
    for (const std::string& merge : file.strings("tokenizer.ggml.merges")) hasher.add(merge);
  }
  hasher.add(file.boolean("tokenizer.ggml.add_space_prefix", true));
  for (const auto* side : {&parts.before, &parts.after}) {
    hasher.add(side->size());
    for (const TokenId id : *side) hasher.add(id);
  }
  return hasher.add(parts.bos.value_or(-1)).add(parts.eos.value_or(-1)).finish();
}

PipelineParts byte_level_parts(const GgufFile& file, const Tokens& tokens, const std::string& origin) {
  if (file.metadata("tokenizer.ggml.pre") == nullptr) {
    fail(ErrorCode::kUnsupported,
         "{}: 'tokenizer.ggml.pre' is missing, so how words are cut is unknown; convert the model again", origin);
  }
  const GgufPreTokenizer& pre = find_gguf_pre_tokenizer(file.string("tokenizer.ggml.pre"), origin);
  PipelineParts parts;
  parts.kind = fmt::format("byte-level BPE ({})", pre.name);
  BpeOptions options;
  options.ignore_merges = pre.ignore_merges;
  parts.model =
      std::make_unique<BpeModel>(vocabulary_of(tokens, origin), read_merges(file, origin), std::move(options), origin);
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (const std::string_view pattern : pre.patterns) {
    steps.push_back(split_pre_tokenizer(Regex(pattern, origin), SplitBehavior::kIsolated, false));
  }
  steps.push_back(byte_level_pre_tokenizer(false, false));
  parts.pre_tokenizer = pre_tokenizer_sequence(std::move(steps));
  parts.decoder = byte_level_decoder(true);
  read_frame(file, pre.add_bos, tokens.pieces.size(), origin, parts);
  return parts;
}

PipelineParts sentencepiece_parts(const GgufFile& file, const Tokens& tokens, const std::string& origin) {
  PipelineParts parts;
  parts.kind = "sentencepiece BPE (GGUF)";
  const auto& scores = file.reals("tokenizer.ggml.scores");
  parts.model = std::make_unique<SpmModel>(vocabulary_of(tokens, origin),
                                           std::vector<float>(scores.begin(), scores.end()), tokens.types, origin);
  const bool prefix = file.boolean("tokenizer.ggml.add_space_prefix", true);
  std::vector<std::unique_ptr<Normalizer>> steps;
  if (prefix) steps.push_back(prepend_normalizer(std::string(kSpacePiece)));
  steps.push_back(replace_normalizer(Regex(" ", origin), std::string(kSpacePiece)));
  parts.normalizer = normalizer_sequence(std::move(steps));
  parts.decoder = sentencepiece_decoder(std::string(kSpacePiece), prefix);
  read_frame(file, true, tokens.pieces.size(), origin, parts);
  return parts;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_gguf(const GgufFile& file) {
  const std::string origin = file.path().string();
  const std::string model = file.string("tokenizer.ggml.model");
  if (model != "gpt2" && model != "llama") {
    fail(ErrorCode::kUnsupported,
         "{}: the tokenizer 'tokenizer.ggml.model' = '{}' is not supported; known are gpt2, llama", origin, model);
  }
  const Tokens tokens = read_tokens(file, origin);
  PipelineParts parts =
      model == "gpt2" ? byte_level_parts(file, tokens, origin) : sentencepiece_parts(file, tokens, origin);
  parts.added = added_of(tokens);
  parts.fingerprint = fingerprint_of(file, tokens, parts);
  return std::make_unique<PipelineTokenizer>(std::move(parts));
}

}  // namespace lowbit
