#include "text/pipeline_tokenizer.h"

#include <algorithm>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"
#include "text/growth.h"
#include "text/word_boundary.h"

namespace lowbit {
namespace {

Vocabulary with_added(const Vocabulary& model, const std::vector<AddedToken>& added, std::string_view origin) {
  Vocabulary result = model.copy();
  for (const AddedToken& token : added) {
    if (!result.find(token.content)) result.add(token.content, token.id, origin);
  }
  return result;
}

}  // namespace

PipelineTokenizer::PipelineTokenizer(PipelineParts parts)
    : parts_(std::move(parts)), vocabulary_(with_added(parts_.model->vocabulary(), parts_.added, parts_.kind)) {
  for (AddedToken& token : parts_.added) {
    // A content that the model knows keeps the model's id.
    token.id = *vocabulary_.find(token.content);
    if (!added_.emplace(token.id, token.special).second) continue;
    if (token.normalized && parts_.normalizer != nullptr) {
      normalized_matcher_.add(parts_.normalizer->apply(token.content), token);
    } else if (token.normalized) {
      normalized_matcher_.add(token.content, token);
    } else {
      raw_matcher_.add(token.content, token);
    }
  }
  const auto check = [&](TokenId id) { (void)vocabulary_.piece(id); };
  std::for_each(parts_.before.begin(), parts_.before.end(), check);
  std::for_each(parts_.after.begin(), parts_.after.end(), check);
  if (parts_.bos) check(*parts_.bos);
  if (parts_.eos) check(*parts_.eos);
}

std::vector<TokenId> PipelineTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (const auto position = find_invalid_utf8(text)) {
    fail(ErrorCode::kData, "text to tokenize: invalid UTF-8 at byte {}", *position);
  }
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 4 + parts_.before.size() + parts_.after.size());
  if (options.add_special) ids = parts_.before;
  // Whoever finds the shared cache in use works with one of its own rather than wait.
  WordCache own;
  const std::unique_lock lock(cache_mutex_, std::try_to_lock);
  WordCache& cache = lock.owns_lock() ? cache_ : own;
  for (const Segment& segment : raw_matcher_.split(text, options.parse_special)) {
    if (segment.token) {
      ids.push_back(*segment.token);
    } else {
      encode_segment(text.substr(segment.range.begin, segment.range.end - segment.range.begin),
                     segment.range.begin == 0, options.parse_special, cache, ids);
    }
  }
  if (options.add_special) ids.insert(ids.end(), parts_.after.begin(), parts_.after.end());
  return ids;
}

void PipelineTokenizer::encode_segment(std::string_view text, bool at_start, bool parse_special, WordCache& cache,
                                       std::vector<TokenId>& ids) const {
  std::string normalized;
  if (parts_.normalizer != nullptr) {
    normalized = parts_.normalizer->apply(std::string(text));
    text = normalized;
  }
  for (const Segment& segment : normalized_matcher_.split(text, parse_special)) {
    if (segment.token) {
      ids.push_back(*segment.token);
    } else {
      encode_plain(text.substr(segment.range.begin, segment.range.end - segment.range.begin),
                   at_start && segment.range.begin == 0, cache, ids);
    }
  }
}

void PipelineTokenizer::encode_plain(std::string_view text, bool at_start, WordCache& cache,
                                     std::vector<TokenId>& ids) const {
  Pieces pieces{std::string(text), {{0, text.size()}}, at_start, growth_limit(text.size())};
  if (parts_.pre_tokenizer != nullptr) parts_.pre_tokenizer->apply(pieces);
  const auto code = [&](std::string_view word, std::vector<TokenId>& out) { parts_.model->encode(word, out); };
  const auto append = [&](std::string_view word) { cache.append(word, ids, code); };
  for (const Range& range : pieces.ranges) {
    if (parts_.model->splits_at_spaces()) {
      for_each_word(pieces.view(range), false, append);
    } else {
      append(pieces.view(range));
    }
  }
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<DecodedToken> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    const std::string* const piece = vocabulary_.piece(id);
    if (piece == nullptr) continue;  // a gap in the ids spells nothing
    const auto added = added_.find(id);
    if (skip_special && added != added_.end() && added->second) continue;
    tokens.push_back({*piece, added != added_.end()});
  }
  if (parts_.decoder != nullptr) parts_.decoder->apply(tokens);
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && parts_.decoder == nullptr) text += ' ';
    text += tokens[i].text;
  }
  return text;
}

bool PipelineTokenizer::adds_bos() const {
  return parts_.bos && !parts_.before.empty() && parts_.before.front() == *parts_.bos;
}

bool PipelineTokenizer::is_special(TokenId id) const {
  (void)vocabulary_.piece(id);
  const auto found = added_.find(id);
  return found != added_.end() && found->second;
}

std::string PipelineTokenizer::piece(TokenId id) const {
  const std::string* const found = vocabulary_.piece(id);
  return found == nullptr ? std::string() : *found;
}

}  // namespace lowbit
