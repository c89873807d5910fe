#include "lowbit/data/overlap.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "lowbit/base/error.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

using Words = std::vector<std::uint64_t>;  // a hash each

/// Characters that are written without blanks between words.
bool stands_alone(char32_t c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7AF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

Words words_of(std::string_view document) {
  const std::string text = to_lower(document);
  Words words;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) words.push_back(hash_of(std::string_view(text).substr(begin, end - begin)).low);
  };
  for (std::size_t position = 0; position < text.size();) {
    const CodePoint character = code_point_at(text, position);
    const std::size_t next = position + character.size;
    const bool alone = stands_alone(character.value);
    if (alone || !is_word_character(character.value)) {
      end_word(position);
      begin = alone ? position : next;
      if (alone) end_word(next);
      begin = next;
    }
    position = next;
  }
  end_word(text.size());
  return words;
}

std::uint64_t hash_of_whole(const Words& words) {
  return Hasher().add_bytes(words.data(), words.size() * sizeof(Words::value_type)).finish().low;
}

/// Of each run of `length` words: a polynomial of their hashes, modulo 2^64.
Words hashes_of_runs(const Words& words, std::size_t length) {
  constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15ULL;
  Words runs;
  std::uint64_t leading = 1;  // kBase^length
  for (std::size_t i = 0; i < length; ++i) leading *= kBase;
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    hash = hash * kBase + words[i];
    if (i >= length) hash -= leading * words[i - length];
    if (i + 1 >= length) runs.push_back(hash);
  }
  return runs;
}

}  // namespace

void OverlapIndex::add(const std::string& test, const std::vector<TestText>& texts) {
  const auto number = static_cast<std::uint32_t>(tests_.size());
  tests_.push_back(test);
  std::set<std::uint64_t> whole;
  std::map<std::uint64_t, std::int64_t> holders;  // of each run, how many items have it
  for (const TestText& text : texts) {
    const Words words = words_of(text.text);
    Words runs = hashes_of_runs(words, ngram_);
    std::sort(runs.begin(), runs.end());
    runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
    for (const std::uint64_t run : runs) ++holders[run];
    if (words.size() >= kShortest) whole.insert(hash_of_whole(words));
    if (text.question.empty()) continue;
    const Words question = words_of(text.question);
    if (question.size() >= kShortest) whole.insert(hash_of_whole(question));
  }
  for (const std::uint64_t hash : whole) whole_.push_back({hash, number});
  for (const auto& [hash, count] : holders) {
    if (count <= kBoilerplate) runs_.push_back({hash, number});
  }
  std::sort(whole_.begin(), whole_.end());
  std::sort(runs_.begin(), runs_.end());
}

std::vector<OverlapIndex::Match> OverlapIndex::find(std::string_view document) const {
  std::vector<Match> matches(tests_.size());
  const auto look_up = [&](const std::vector<Mark>& marks, std::uint64_t hash, bool Match::*what) {
    for (auto mark = std::lower_bound(marks.begin(), marks.end(), Mark{hash, 0});
         mark != marks.end() && mark->hash == hash; ++mark) {
      matches[mark->test].*what = true;
    }
  };
  const Words words = words_of(document);
  if (words.size() >= kShortest) look_up(whole_, hash_of_whole(words), &Match::whole);
  for (const std::uint64_t run : hashes_of_runs(words, ngram_)) look_up(runs_, run, &Match::run);
  return matches;
}

bool OverlapIndex::knows(std::string_view document) const {
  const std::vector<Match> matches = find(document);
  return std::any_of(matches.begin(), matches.end(), [](const Match& match) { return match.any(); });
}

std::vector<OverlapCount> count_overlaps(const Corpus& corpus, const OverlapIndex& index) {
  std::vector<OverlapCount> counts;
  for (const std::string& test : index.tests()) counts.push_back({.test = test});
  for (const std::string& document : corpus.documents) {
    const std::vector<OverlapIndex::Match> matches = index.find(document);
    for (std::size_t i = 0; i < matches.size(); ++i) {
      if (matches[i].whole) {
        ++counts[i].whole;
      } else if (matches[i].run) {
        ++counts[i].run;
      }
    }
  }
  std::erase_if(counts, [](const OverlapCount& count) { return count.whole + count.run == 0; });
  return counts;
}

std::int64_t exclude_overlaps(Corpus& corpus, const OverlapIndex& index) {
  Corpus kept = corpus;
  kept.documents.clear();
  kept.groups.clear();
  kept.turns.clear();
  for (std::size_t i = 0; i < corpus.documents.size(); ++i) {
    if (index.knows(corpus.documents[i])) continue;
    kept.documents.push_back(corpus.documents[i]);
    if (!corpus.groups.empty()) kept.groups.push_back(corpus.groups[i]);
    if (!corpus.turns.empty()) kept.turns.push_back(corpus.turns[i]);
  }
  const auto left_out = static_cast<std::int64_t>(corpus.documents.size() - kept.documents.size());
  if (left_out == 0) return 0;
  Hasher hasher;
  hasher.add(corpus.hash).add("without overlaps").add(kept.documents.size());
  for (const std::string& document : kept.documents) hasher.add(document);
  kept.hash = hasher.finish();
  corpus = std::move(kept);
  return left_out;
}

}  // namespace lowbit
