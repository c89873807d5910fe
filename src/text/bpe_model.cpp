#include "text/bpe_model.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "lowbit/base/error.h"
#include "text/unicode.h"
#include "text/word_boundary.h"

namespace lowbit {
namespace {

constexpr std::uint32_t kNoSymbol = 0xFFFFFFFF;

std::string byte_piece(unsigned byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace

// A doubly linked list in one array.
struct BpeModel::Symbol {
  TokenId id;
  std::uint32_t previous = kNoSymbol;
  std::uint32_t next = kNoSymbol;
  bool gone = false;
};

BpeModel::BpeModel(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options, std::string_view origin)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), merges_(merges.size()) {
  if (options_.unknown_token) {
    unknown_ = vocabulary_.find(*options_.unknown_token);
    if (!unknown_) {
      fail(ErrorCode::kData, "{}: the unknown token '{}' is not in the vocabulary", origin, *options_.unknown_token);
    }
  }
  if (options_.byte_fallback) {
    for (unsigned byte = 0; byte < 256; ++byte) byte_tokens_[byte] = vocabulary_.find(byte_piece(byte));
  }
  made_by_rank_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) add_merge(merges[rank], rank, origin);
  const bool decorated = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  splits_at_spaces_ = !decorated && vocabulary_.find(kSpacePiece) && !vocabulary_.any(has_inner_space);
}

void BpeModel::add_merge(const Merge& merge, std::size_t rank, std::string_view origin) {
  const auto token = [&](const std::string& piece) {
    const auto id = vocabulary_.find(piece);
    if (!id) {
      fail(ErrorCode::kData, "{}: merge {} ('{}' '{}') needs the token '{}', which is not in the vocabulary", origin,
           rank, merge.first, merge.second, piece);
    }
    return *id;
  };
  const TokenId left = token(merge.first);
  const TokenId right = token(merge.second);
  const std::size_t prefix = options_.continuing_subword_prefix.size();
  if (merge.second.size() < prefix) {
    fail(ErrorCode::kData, "{}: merge {} ('{}' '{}') lacks the prefix '{}'", origin, rank, merge.first, merge.second,
         options_.continuing_subword_prefix);
  }
  made_by_rank_.push_back(token(merge.first + merge.second.substr(prefix)));
  merges_.set(left, right, static_cast<std::uint32_t>(rank));
}

void BpeModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (word.empty()) return;
  if (options_.ignore_merges) {
    if (const auto whole = vocabulary_.find(word)) {
      ids.push_back(*whole);
      return;
    }
  }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  start_symbols(word, symbols);
  merge_symbols(symbols);
  for (const Symbol& symbol : symbols) {
    if (!symbol.gone) ids.push_back(symbol.id);
  }
}

bool BpeModel::append_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  const auto known = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)].has_value(); };
  if (!std::all_of(character.begin(), character.end(), known)) return false;
  for (const char byte : character) symbols.push_back({*byte_tokens_[static_cast<unsigned char>(byte)]});
  return true;
}

void BpeModel::start_symbols(std::string_view word, std::vector<Symbol>& symbols) const {
  const bool decorated = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  bool pending_unknown = false;
  const auto flush_unknown = [&] {
    if (pending_unknown) symbols.push_back({*unknown_});
    pending_unknown = false;
  };
  std::string buffer;
  for (std::size_t at = 0; at < word.size();) {
    std::string_view character = word.substr(at, code_point_at(word, at).size);
    const bool first = at == 0;
    at += character.size();
    if (decorated) {
      buffer.assign(first ? "" : options_.continuing_subword_prefix).append(character);
      if (at == word.size()) buffer += options_.end_of_word_suffix;
      character = buffer;
    }
    if (const auto id = vocabulary_.find(character)) {
      flush_unknown();
      symbols.push_back({*id});
    } else if (options_.byte_fallback && append_bytes(character, symbols)) {
      // An unknown token that is still pending comes after these bytes: that is how Hugging Face orders them.
    } else if (unknown_) {
      if (!options_.fuse_unknown) flush_unknown();
      pending_unknown = true;
    }
  }
  flush_unknown();
}

void BpeModel::merge_symbols(std::vector<Symbol>& symbols) const {
  // Rank in the high half, so that the lowest rank comes first and the leftmost among equals.
  std::vector<std::uint64_t> entries;
  entries.reserve(symbols.size());
  const auto candidate = [&](std::size_t left, std::size_t right) -> std::uint64_t {
    const std::uint32_t rank = merges_.rank(symbols[left].id, symbols[right].id);
    return (static_cast<std::uint64_t>(rank) << 32) | left;
  };
  const std::uint64_t none = static_cast<std::uint64_t>(MergeTable::kNone) << 32;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (i > 0) symbols[i].previous = static_cast<std::uint32_t>(i - 1);
    if (i + 1 == symbols.size()) continue;
    symbols[i].next = static_cast<std::uint32_t>(i + 1);
    if (const auto entry = candidate(i, i + 1); entry < none) entries.push_back(entry);
  }
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> queue(std::greater<>{},
                                                                                       std::move(entries));
  while (!queue.empty()) {
    const std::uint64_t top = queue.top();
    queue.pop();
    const auto left = static_cast<std::uint32_t>(top);
    const std::uint32_t right = symbols[left].next;
    if (symbols[left].gone || right == kNoSymbol) continue;
    // An entry is stale when its pair changed, unless the pair of now makes the same token: then it is merged at the
    // old entry's turn, as Hugging Face does.
    const std::uint32_t rank = merges_.rank(symbols[left].id, symbols[right].id);
    const TokenId made = made_by_rank_[top >> 32];
    if (rank == MergeTable::kNone || made_by_rank_[rank] != made) continue;
    symbols[left].id = made;
    symbols[left].next = symbols[right].next;
    symbols[right].gone = true;
    if (symbols[left].next != kNoSymbol) {
      symbols[symbols[left].next].previous = left;
      if (const auto entry = candidate(left, symbols[left].next); entry < none) queue.push(entry);
    }
    if (symbols[left].previous != kNoSymbol) {
      if (const auto entry = candidate(symbols[left].previous, left); entry < none) queue.push(entry);
    }
  }
}

}  // namespace lowbit
