#include <sentencepiece_processor.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <unordered_map>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/utf8.h"
#include "text/load_files.h"
#include "text/sentencepiece_proto.h"
#include "text/vocabulary.h"
#include "text/word_boundary.h"
#include "text/word_cache.h"

namespace lowbit {
namespace {

// Raised when the same file comes to give other tokens.
constexpr int kSentencepieceVersion = 1;
constexpr std::uint64_t kMaxModelBytes = std::uint64_t{64} << 20;

// Appended to a serialized model: normalizer_spec (field 3) with add_dummy_prefix (field 3) false. A field that occurs
// twice in a protocol buffer is merged, the later value wins.
constexpr std::string_view kWithoutPrefix("\x1A\x02\x18\x00", 4);

void append_ids(const sentencepiece::SentencePieceProcessor& processor, std::string_view text,
                std::vector<TokenId>& ids) {
  std::vector<int> part;
  const auto status = processor.Encode(text, &part);
  if (!status.ok()) fail(ErrorCode::kInternal, "sentencepiece cannot code a text: {}", status.message());
  ids.insert(ids.end(), part.begin(), part.end());
}

// The library throws what is no status where it cannot index the pieces, such as one that begins with a zero byte.
bool loads(sentencepiece::SentencePieceProcessor& processor, std::string_view model) {
  try {
    return processor.LoadFromSerializedProto(model).ok();
  } catch (const std::exception&) {
    return false;
  }
}

class SentencepieceTokenizer : public Tokenizer {
 public:
  SentencepieceTokenizer(const std::string& model, const TokenizerConfig& config, const std::string& origin);

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::int64_t size() const override { return vocabulary_.size(); }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  bool adds_bos() const override { return add_bos_; }
  bool is_special(TokenId id) const override;
  std::string piece(TokenId id) const override;
  std::optional<TokenId> find(std::string_view piece) const override { return vocabulary_.find(piece); }
  std::string kind() const override { return "sentencepiece"; }
  Hash fingerprint() const override { return fingerprint_; }

 private:
  void load(sentencepiece::SentencePieceProcessor& processor, std::string_view model, const std::string& origin);
  void add_token(AddedToken token, const std::string& origin);
  void encode_text(std::string_view text, bool at_start, WordCache& cache, std::vector<TokenId>& ids) const;
  void choose_frame(const TokenizerConfig& config, const std::string& origin);
  // Of the text or ids that start the input, or stand behind an added token.
  const sentencepiece::SentencePieceProcessor& processor(bool at_start) const {
    return prefix_ && (at_start || legacy_) ? with_prefix_ : without_prefix_;
  }

  sentencepiece::SentencePieceProcessor with_prefix_;
  sentencepiece::SentencePieceProcessor without_prefix_;
  bool legacy_;
  bool prefix_;
  bool by_words_ = false;  // the same result as the whole text at once, a good deal faster
  Vocabulary vocabulary_;
  AddedTokenMatcher matcher_;
  std::unordered_map<TokenId, bool> added_;  // -> special
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  bool add_bos_ = false;
  bool add_eos_ = false;
  Hash fingerprint_;
  mutable std::mutex cache_mutex_;
  mutable WordCache cache_;  // of words within a text, which get no prefix
};

SentencepieceTokenizer::SentencepieceTokenizer(const std::string& model, const TokenizerConfig& config,
                                               const std::string& origin)
    : legacy_(config.legacy.value_or(true)), prefix_(config.add_prefix_space.value_or(true)) {
  if (prefix_) load(with_prefix_, model, origin);
  load(without_prefix_, model + std::string(kWithoutPrefix), origin);
  const auto& loaded = processor(true);
  for (int id = 0; id < loaded.GetPieceSize(); ++id) vocabulary_.add(loaded.IdToPiece(id), id, origin);
  for (const AddedToken& token : config.added) add_token(token, origin);
  for (int id = 0; id < loaded.GetPieceSize(); ++id) {
    const std::string& piece = loaded.IdToPiece(id);
    const auto& names = config.named_special;
    const bool named = std::find(names.begin(), names.end(), piece) != names.end();
    if (!named && !loaded.IsControl(id) && !loaded.IsUnknown(id)) continue;
    AddedToken token;
    token.content = piece;
    token.id = id;
    token.special = true;
    add_token(std::move(token), origin);
  }
  choose_frame(config, origin);
  by_words_ = may_code_by_words(model) && vocabulary_.find(kSpacePiece) && !vocabulary_.any(has_inner_space);
  Hasher hasher;
  hasher.add("sentencepiece").add(kSentencepieceVersion).add(model);
  add_config(hasher, config);
  fingerprint_ = hasher.finish();
}

void SentencepieceTokenizer::load(sentencepiece::SentencePieceProcessor& processor, std::string_view model,
                                  const std::string& origin) {
  if (!has_sound_character_maps(model) || !loads(processor, model))
    fail(ErrorCode::kData, "{}: not a sentencepiece model, or a damaged one", origin);
  // The library's index ends a piece there, and then takes more of a text for it than there is.
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IdToPiece(id).find('\0') == std::string::npos) continue;
    fail(ErrorCode::kData, "{}: not a sentencepiece model, or a damaged one: piece {} holds a zero byte", origin, id);
  }
}

void SentencepieceTokenizer::add_token(AddedToken token, const std::string& origin) {
  if (token.content.empty()) return;
  if (const auto known = vocabulary_.find(token.content)) {
    token.id = *known;
  } else {
    vocabulary_.add(token.content, token.id, origin);
  }
  if (added_.emplace(token.id, token.special).second) matcher_.add(token.content, token);
}

void SentencepieceTokenizer::choose_frame(const TokenizerConfig& config, const std::string& origin) {
  const auto choose = [&](const std::optional<std::string>& name, int id) -> std::optional<TokenId> {
    if (name) {
      if (const auto found = vocabulary_.find(*name)) return found;
      fail(ErrorCode::kData, "{}: the token '{}' that tokenizer_config.json names is not in the vocabulary", origin,
           *name);
    }
    return id < 0 ? std::nullopt : std::optional<TokenId>(id);
  };
  bos_ = choose(config.bos_token, processor(true).bos_id());
  eos_ = choose(config.eos_token, processor(true).eos_id());
  add_bos_ = config.add_bos_token.value_or(bos_.has_value());
  add_eos_ = config.add_eos_token.value_or(false);
  if ((add_bos_ && !bos_) || (add_eos_ && !eos_)) {
    fail(ErrorCode::kData, "{}: tokenizer_config.json asks for {} at each text, which the model lacks", origin,
         add_bos_ && !bos_ ? "BOS" : "EOS");
  }
}

std::vector<TokenId> SentencepieceTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (const auto position = find_invalid_utf8(text)) {
    fail(ErrorCode::kData, "text to tokenize: invalid UTF-8 at byte {}", *position);
  }
  std::vector<TokenId> ids;
  if (options.add_special && add_bos_) ids.push_back(*bos_);
  // Whoever finds the shared cache in use works with one of its own rather than wait.
  WordCache own;
  const std::unique_lock lock(cache_mutex_, std::try_to_lock);
  WordCache& cache = lock.owns_lock() ? cache_ : own;
  for (const Segment& segment : matcher_.split(text, options.parse_special)) {
    if (segment.token) {
      ids.push_back(*segment.token);
      continue;
    }
    const auto view = text.substr(segment.range.begin, segment.range.end - segment.range.begin);
    encode_text(view, segment.range.begin == 0, cache, ids);
  }
  if (options.add_special && add_eos_) ids.push_back(*eos_);
  return ids;
}

void SentencepieceTokenizer::encode_text(std::string_view text, bool at_start, WordCache& cache,
                                         std::vector<TokenId>& ids) const {
  const auto& first = processor(at_start);
  if (!by_words_) return append_ids(first, text, ids);
  bool at_first = true;
  for_each_word(text, true, [&](std::string_view word) {
    if (at_first) {
      append_ids(first, word, ids);
    } else {
      cache.append(word, ids,
                   [&](std::string_view part, std::vector<TokenId>& out) { append_ids(without_prefix_, part, out); });
    }
    at_first = false;
  });
}

std::string SentencepieceTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string text;
  std::vector<int> run;
  bool at_start = true;  // nothing but a leading BOS has been seen
  const auto flush = [&] {
    if (run.empty()) return;
    std::string part;
    const auto status = processor(at_start).Decode(run, &part);
    if (!status.ok()) fail(ErrorCode::kInternal, "sentencepiece cannot decode ids: {}", status.message());
    text += part;
    run.clear();
    at_start = false;
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string* const piece = vocabulary_.piece(ids[i]);
    const auto added = added_.find(ids[i]);
    if (added == added_.end()) {
      if (piece != nullptr) run.push_back(ids[i]);
      continue;
    }
    flush();
    if (!added->second || !skip_special) text += *piece;
    // The BOS that encoding adds stands before the start of the text, every other token in it.
    if (i > 0 || !add_bos_ || ids[i] != *bos_) at_start = false;
  }
  flush();
  return text;
}

bool SentencepieceTokenizer::is_special(TokenId id) const {
  (void)vocabulary_.piece(id);
  const auto found = added_.find(id);
  return found != added_.end() && found->second;
}

std::string SentencepieceTokenizer::piece(TokenId id) const {
  const std::string* const found = vocabulary_.piece(id);
  return found == nullptr ? std::string() : *found;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_sentencepiece(const std::filesystem::path& file,
                                                        const TokenizerConfig& config) {
  return std::make_unique<SentencepieceTokenizer>(read_file(file, kMaxModelBytes), config, file.string());
}

}  // namespace lowbit
