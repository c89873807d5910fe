#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "lowbit/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/word_cache.h"
#include "text/word_model.h"

namespace lowbit {

/// What a `PipelineTokenizer` is made of. The steps may be null.
struct PipelineParts {
  std::string kind;
  Hash fingerprint;
  std::unique_ptr<WordModel> model;
  std::vector<AddedToken> added;
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  std::unique_ptr<Decoder> decoder;  // without one, tokens are joined by spaces
  std::vector<TokenId> before;       // what add_special puts in front
  std::vector<TokenId> after;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
};

/// Hugging Face's pipeline: added tokens are cut out, the rest is normalized, cut into words, and each word coded.
class PipelineTokenizer : public Tokenizer {
 public:
  /// Throws `kData` when an id of the parts is outside the vocabulary.
  explicit PipelineTokenizer(PipelineParts parts);

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::int64_t size() const override { return vocabulary_.size(); }
  std::optional<TokenId> bos() const override { return parts_.bos; }
  std::optional<TokenId> eos() const override { return parts_.eos; }
  bool adds_bos() const override;
  bool is_special(TokenId id) const override;
  std::string piece(TokenId id) const override;
  std::optional<TokenId> find(std::string_view piece) const override { return vocabulary_.find(piece); }
  std::string kind() const override { return parts_.kind; }
  Hash fingerprint() const override { return parts_.fingerprint; }

 private:
  void encode_segment(std::string_view text, bool at_start, bool parse_special, WordCache& cache,
                      std::vector<TokenId>& ids) const;
  void encode_plain(std::string_view text, bool at_start, WordCache& cache, std::vector<TokenId>& ids) const;

  PipelineParts parts_;
  Vocabulary vocabulary_;                    // the model's pieces and the added tokens
  std::unordered_map<TokenId, bool> added_;  // -> special
  AddedTokenMatcher raw_matcher_;
  AddedTokenMatcher normalized_matcher_;
  mutable std::mutex cache_mutex_;
  mutable WordCache cache_;
};

}  // namespace lowbit
