#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/data/dataset.h"

namespace lowbit LOWBIT_EXPORT {

/// One item of a test as far as calibration data might hold it.
struct TestText {
  std::string text;           ///< a document, or a question with its right answer
  std::string question = {};  ///< the question alone; empty for a document
};

/// Tells documents that also stand in tests: whole, or by a run of words. Words are runs of letters and digits in lower
/// case; a Chinese, Japanese or Korean character is a word of its own. A run of `ngram` words counts unless more than
/// `kBoilerplate` items of one test hold it, which then is wording that its items share (Brown et al. 2020, appendix
/// C). A document as a whole counts when it has `kShortest` words or more.
///
///   OverlapIndex index(13);
///   index.add("piqa", texts);
///   if (index.knows(document)) ...
class OverlapIndex {
 public:
  static constexpr std::int64_t kBoilerplate = 10;
  static constexpr std::size_t kShortest = 5;
  explicit OverlapIndex(std::size_t ngram) : ngram_(ngram) {}

  void add(const std::string& test, const std::vector<TestText>& texts);

  struct Match {
    bool whole = false;  ///< the document is an item
    bool run = false;    ///< they share a run of words
    [[nodiscard]] bool any() const { return whole || run; }
  };
  /// In the order in which tests were added.
  [[nodiscard]] std::vector<Match> find(std::string_view document) const;
  [[nodiscard]] bool knows(std::string_view document) const;
  [[nodiscard]] const std::vector<std::string>& tests() const { return tests_; }
  [[nodiscard]] std::size_t ngram() const { return ngram_; }

 private:
  struct Mark {
    std::uint64_t hash;
    std::uint32_t test;
    friend auto operator<=>(const Mark&, const Mark&) = default;
  };
  std::size_t ngram_;
  std::vector<std::string> tests_;
  std::vector<Mark> whole_;  // both sorted, each mark once
  std::vector<Mark> runs_;
};

/// How many documents of a corpus stand in one test.
struct OverlapCount {
  std::string test;
  std::int64_t whole = 0;
  std::int64_t run = 0;  ///< those that share a run of words but are not whole items
};
/// For each test of the index that has any.
[[nodiscard]] std::vector<OverlapCount> count_overlaps(const Corpus& corpus, const OverlapIndex& index);
/// Takes out of the corpus what the index knows; returns how many documents.
std::int64_t exclude_overlaps(Corpus& corpus, const OverlapIndex& index);

}  // namespace LOWBIT_EXPORT
