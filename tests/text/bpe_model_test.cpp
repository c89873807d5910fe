#include "text/bpe_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "text/spm_model.h"

namespace lowbit {
namespace {

using Ids = std::vector<TokenId>;

// Tokens of random merges over a small alphabet; the pairs stay near the front so that many compete.
struct RandomBpe {
  std::vector<std::string> pieces;
  std::vector<BpeModel::Merge> merges;

  explicit RandomBpe(unsigned seed) {
    std::mt19937 random(seed);
    for (const char c : {'a', 'b', 'c'}) pieces.emplace_back(1, c);
    while (merges.size() < 25) {
      const std::string left = pieces[random() % pieces.size()];
      const std::string right = pieces[random() % pieces.size()];
      if (std::find(pieces.begin(), pieces.end(), left + right) != pieces.end()) continue;
      merges.emplace_back(left, right);
      pieces.push_back(left + right);
    }
  }
  [[nodiscard]] Vocabulary vocabulary() const {
    Vocabulary result;
    for (std::size_t id = 0; id < pieces.size(); ++id) result.add(pieces[id], static_cast<std::int64_t>(id), "test");
    return result;
  }
};

// By the definition: look through all pairs for the lowest rank, merge the leftmost, start again.
std::vector<std::string> plain_bpe(const std::string& word, const std::vector<BpeModel::Merge>& merges) {
  std::vector<std::string> symbols;
  for (const char c : word) symbols.emplace_back(1, c);
  while (true) {
    std::size_t best_rank = merges.size();
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = std::find(merges.begin(), merges.end(), BpeModel::Merge{symbols[i], symbols[i + 1]});
      const auto rank = static_cast<std::size_t>(found - merges.begin());
      if (rank < best_rank) {
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == merges.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

std::string random_word(std::mt19937& random) {
  std::string word(1 + random() % 40, 'a');
  for (char& c : word) c = static_cast<char>('a' + random() % 3);
  return word;
}

TEST(BpeModel, EqualsTheDefinition) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const RandomBpe bpe(seed);
    const BpeModel model(bpe.vocabulary(), bpe.merges, {}, "test");
    std::mt19937 random(seed + 1000);
    for (int i = 0; i < 50; ++i) {
      const std::string word = random_word(random);
      Ids ids;
      model.encode(word, ids);
      std::vector<std::string> pieces;
      for (const TokenId id : ids) pieces.push_back(*model.vocabulary().piece(id));
      EXPECT_EQ(pieces, plain_bpe(word, bpe.merges)) << word << " seed " << seed;
    }
  }
}

// With score = -rank, sentencepiece's rule is the same one, as each token has one merge here that can make it first.
TEST(SpmModel, JoinsWhatMakesTheBestPiece) {
  Vocabulary vocabulary;
  std::int64_t id = 0;
  for (const char* const piece : {"<unk>", "a", "b", "c", "ab", "bc", "abc"}) vocabulary.add(piece, id++, "test");
  std::vector<PieceType> types(7, PieceType::kNormal);
  types[0] = PieceType::kUnknown;
  const SpmModel model(std::move(vocabulary), {0, 0, 0, 0, -2, -1, -3}, types, "test");
  Ids ids;
  model.encode("abcabxbc", ids);  // bc first, then a+bc; x is unknown
  EXPECT_EQ(ids, (Ids{6, 4, 0, 5}));
  ids.clear();
  model.encode("<unk>", ids);  // reserved pieces are never made of plain text
  EXPECT_EQ(ids, Ids(5, 0));
}

// A quadratic merge would take hours; the bound is generous for a loaded machine.
TEST(BpeModel, TakesAMegabyteOfOneCharacter) {
  Vocabulary vocabulary;
  std::vector<BpeModel::Merge> merges;
  std::string piece = "a";
  vocabulary.add(piece, 0, "test");
  for (std::int64_t id = 1; id < 8; ++id) {
    merges.emplace_back(piece, piece);
    piece += piece;
    vocabulary.add(piece, id, "test");
  }
  const BpeModel model(std::move(vocabulary), merges, {}, "test");
  const auto start = std::chrono::steady_clock::now();
  Ids ids;
  model.encode(std::string(1 << 20, 'a'), ids);
  EXPECT_EQ(ids, Ids((1 << 20) / 128, 7));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(BpeModel, KeepsAWholeWordWhenMergesAreIgnored) {
  Vocabulary vocabulary;
  std::int64_t id = 0;
  for (const char* const piece : {"a", "b", "ab", "aba"}) vocabulary.add(piece, id++, "test");
  BpeOptions options;
  options.ignore_merges = true;
  const BpeModel model(std::move(vocabulary), {{"a", "b"}}, options, "test");
  Ids ids;
  model.encode("aba", ids);
  model.encode("abab", ids);
  EXPECT_EQ(ids, (Ids{3, 2, 2}));
}

}  // namespace
}  // namespace lowbit
