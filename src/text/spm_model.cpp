#include "text/spm_model.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "lowbit/base/error.h"
#include "text/decoder.h"
#include "text/unicode.h"
#include "text/word_boundary.h"

namespace lowbit {
namespace {

constexpr std::uint32_t kNoSymbol = 0xFFFFFFFF;

}  // namespace

struct SpmModel::Symbol {
  std::uint32_t begin;  // in the word
  std::uint32_t size;   // 0 once it was merged into the symbol before it
  std::uint32_t previous;
  std::uint32_t next;
};

struct SpmModel::Candidate {
  float score;
  std::uint32_t left;
  std::uint32_t size;  // of both symbols together; differs once either has grown

  bool operator<(const Candidate& other) const {
    return score < other.score || (score == other.score && left > other.left);
  }
};

SpmModel::SpmModel(Vocabulary vocabulary, std::vector<float> scores, std::vector<PieceType> types,
                   std::string_view origin)
    : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), types_(std::move(types)) {
  const auto size = static_cast<std::size_t>(vocabulary_.size());
  if (scores_.size() != size || types_.size() != size) {
    fail(ErrorCode::kData, "{}: {} tokens with {} scores and {} types, expected as many of each", origin, size,
         scores_.size(), types_.size());
  }
  for (std::size_t id = 0; id < size; ++id) {
    const std::string& piece = *vocabulary_.piece(static_cast<TokenId>(id));
    if (!std::isfinite(scores_[id])) {
      fail(ErrorCode::kData, "{}: token '{}' has the score {}, expected a finite number", origin, piece, scores_[id]);
    }
    if (types_[id] == PieceType::kUnknown && !unknown_) unknown_ = static_cast<TokenId>(id);
    if (types_[id] != PieceType::kByte) continue;
    const int byte = byte_of_piece(piece);
    if (byte < 0)
      fail(ErrorCode::kData, "{}: token '{}' is of type byte, expected '<0x00>' to '<0xFF>'", origin, piece);
    bytes_[static_cast<std::size_t>(byte)] = static_cast<TokenId>(id);
  }
  splits_at_spaces_ = !vocabulary_.any(has_inner_space);
  const bool all_bytes = std::all_of(bytes_.begin(), bytes_.end(), [](const auto& id) { return id.has_value(); });
  if (!all_bytes && !unknown_) {
    fail(ErrorCode::kData, "{}: neither all 256 byte tokens nor an unknown token, so not every text can be coded",
         origin);
  }
}

std::optional<TokenId> SpmModel::mergeable(std::string_view piece) const {
  const auto id = vocabulary_.find(piece);
  if (!id) return std::nullopt;
  const PieceType type = types_[static_cast<std::size_t>(*id)];
  const bool reserved = type == PieceType::kUnknown || type == PieceType::kControl || type == PieceType::kByte;
  return reserved ? std::nullopt : id;
}

void SpmModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t size = code_point_at(word, at).size;
    const auto index = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size),
                       index == 0 ? kNoSymbol : index - 1, at + size == word.size() ? kNoSymbol : index + 1});
    at += size;
  }
  merge_symbols(word, symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.size == 0) continue;
    const std::string_view piece = word.substr(symbol.begin, symbol.size);
    if (const auto id = mergeable(piece)) {
      ids.push_back(*id);
      continue;
    }
    const auto has_token = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)].has_value(); };
    if (std::all_of(piece.begin(), piece.end(), has_token)) {
      for (const char byte : piece) ids.push_back(*bytes_[static_cast<unsigned char>(byte)]);
    } else {
      ids.push_back(*unknown_);
    }
  }
}

void SpmModel::merge_symbols(std::string_view word, std::vector<Symbol>& symbols) const {
  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::uint32_t left, std::uint32_t right) {
    if (left == kNoSymbol || right == kNoSymbol) return;
    const std::uint32_t size = symbols[left].size + symbols[right].size;
    const auto id = mergeable(word.substr(symbols[left].begin, size));
    if (id) queue.push({scores_[static_cast<std::size_t>(*id)], left, size});
  };
  for (std::uint32_t i = 1; i < symbols.size(); ++i) consider(i - 1, i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.left];
    if (left.size == 0 || left.next == kNoSymbol) continue;
    Symbol& right = symbols[left.next];
    if (left.size + right.size != top.size) continue;
    left.size = top.size;
    right.size = 0;
    left.next = right.next;
    if (left.next != kNoSymbol) symbols[left.next].previous = top.left;
    consider(left.previous, top.left);
    consider(top.left, left.next);
  }
}

}  // namespace lowbit
