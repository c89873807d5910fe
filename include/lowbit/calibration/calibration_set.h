#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/config/fields.h"
#include "lowbit/data/overlap.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit LOWBIT_EXPORT {

class DatasetCatalog;

/// What becomes of a dataset's documents (the questions of a task).
enum class CalibrationForm {
  kWindows,   ///< joined and tokenized once, as GPTQ does; each sequence is a window of the text
  kPacked,    ///< drawn one after the other, each tokenized by itself, and the whole cut into sequences
  kExamples,  ///< drawn, one a sequence; what is longer than a sequence loses its beginning
};

/// A share of a mix, or the only one.
struct CalibrationPart {
  std::string dataset;
  std::string split = "train";
  double weight = 1.0;
  std::int64_t count = 0;  ///< sequences; 0: a share by weight
  std::vector<std::string> groups = {};
  CalibrationForm form = CalibrationForm::kWindows;
  bool answers = true;    ///< of a task: with the right answers
  bool balanced = false;  ///< as many documents of each group, the counts differing by one at most
  bool in_order = false;  ///< the first ones of the file in place of a draw
  bool chat = false;      ///< of a task, not for windows: questions and answers as turns of the model's chat template
  void visit(FieldVisitor& v);
  /// The same without what only parts of a mix have.
  void visit_source(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// `{dataset: wikitext2, samples: 128, length: 512}` or `{mix: [{dataset: a, weight: 0.5}, ...], samples: ..., length:
/// ...}`.
struct CalibrationOptions {
  enum class Order { kShuffled, kByLength, kAsDrawn };
  std::string name;  ///< how tables call it; by default the datasets' names joined by "+"
  std::vector<CalibrationPart> parts;
  std::int64_t samples = 128;
  std::int64_t length = 512;
  Order order = Order::kShuffled;  ///< of the sequences; by length: the longest first
};
/// Adds a problem for each mistake; the result is usable only when there was none.
[[nodiscard]] CalibrationOptions decode_calibration(const ConfigNode& node, ConfigProblems& problems);
/// The options with every default filled in, in the form that `decode_calibration` reads.
[[nodiscard]] ConfigNode echo_calibration(const CalibrationOptions& options);
/// Sequences of each part: its count, or `samples` in proportion to the weights, by largest remainders (ties: the
/// earlier part).
[[nodiscard]] std::vector<std::int64_t> samples_of_parts(const CalibrationOptions& options);

/// Token sequences for calibration, drawn by seed. Windows have exactly `length` tokens each, at a random offset of a
/// corpus that is joined and tokenized once (as GPTQ draws them from WikiText-2, though not with Python's random
/// numbers). They do not overlap (every placement of disjoint windows is equally likely) unless the corpus is too short
/// for that; then each is placed by itself, and a warning says so. Documents are drawn without replacement. The draw is
/// a function of corpus, tokenizer, options and seed.
struct CalibrationSet {
  /// What was drawn for one part.
  struct Part {
    std::int64_t documents = 0;         ///< of the dataset's split, within the groups
    std::int64_t excluded = 0;          ///< of them left out for being in a test
    std::int64_t used = 0;              ///< documents that sequences were made of; 0 for windows
    std::int64_t truncated = 0;         ///< sequences that lost their beginning
    std::int64_t truncated_tokens = 0;  ///< that they lost
  };
  CalibrationOptions options;
  std::uint64_t seed = 0;
  std::vector<std::vector<TokenId>> sequences;
  std::vector<Part> parts;
  Hash hash;  ///< of the tokens: what everything made from the set is keyed by
  [[nodiscard]] std::int64_t tokens() const;
  [[nodiscard]] std::int64_t longest() const;
};
/// What the draws of one set are made from, whatever their seed.
struct CalibrationTexts {
  struct Part {
    Corpus corpus;               ///< without what was left out
    std::int64_t documents = 0;  ///< of the dataset's split, within the groups
    std::int64_t excluded = 0;   ///< of them left out for being in a test
  };
  CalibrationOptions options;
  std::vector<Part> parts;  ///< one for each of `options.parts`
};
[[nodiscard]] CalibrationTexts calibration_texts(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                                 const OverlapIndex* excluded = nullptr);
[[nodiscard]] CalibrationSet draw_calibration(const CalibrationTexts& texts, const Tokenizer& tokenizer,
                                              std::uint64_t seed);
/// Documents that `excluded` knows are left out before anything is drawn. Throws `kData` when a dataset has too little
/// for what is asked, saying what it has, `kConfig` for options that the dataset cannot have, and whatever the catalog
/// throws.
[[nodiscard]] CalibrationSet draw_calibration(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                              const Tokenizer& tokenizer, std::uint64_t seed,
                                              const OverlapIndex* excluded = nullptr);
/// What a part draws from.
[[nodiscard]] Corpus calibration_corpus(const CalibrationPart& part, const DatasetCatalog& datasets);

}  // namespace LOWBIT_EXPORT
