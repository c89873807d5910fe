#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/config/fields.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit LOWBIT_EXPORT {

class DatasetCatalog;

/// A share of a mix, or the only one.
struct CalibrationPart {
  std::string dataset;
  std::string split = "train";
  double weight = 1.0;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// `{dataset: wikitext2, samples: 128, length: 512}` or `{mix: [{dataset: a, weight: 0.5}, ...], samples: ..., length:
/// ...}`.
struct CalibrationOptions {
  std::string name;  ///< how tables call it; by default the datasets' names joined by "+"
  std::vector<CalibrationPart> parts;
  std::int64_t samples = 128;
  std::int64_t length = 512;
};
/// Adds a problem for each mistake; the result is usable only when there was none.
[[nodiscard]] CalibrationOptions decode_calibration(const ConfigNode& node, ConfigProblems& problems);
/// The options with every default filled in, in the form that `decode_calibration` reads.
[[nodiscard]] ConfigNode echo_calibration(const CalibrationOptions& options);
/// Sequences of each part: `samples` in proportion to the weights, by largest remainders (ties: the earlier part).
[[nodiscard]] std::vector<std::int64_t> samples_of_parts(const CalibrationOptions& options);

/// Token sequences for calibration: `samples` windows of exactly `length` tokens, each at a random offset of a corpus
/// that is joined and tokenized once (as GPTQ draws them from WikiText-2, though not with Python's random numbers).
/// Windows do not overlap (every placement of disjoint windows is equally likely) unless the corpus is too short for
/// that; then each is placed by itself, and a warning says so. The sequences of all parts are shuffled. The draw is a
/// function of corpus, tokenizer, options and seed.
struct CalibrationSet {
  CalibrationOptions options;
  std::uint64_t seed = 0;
  std::vector<std::vector<TokenId>> sequences;
  Hash hash;  ///< of the tokens: what everything made from the set is keyed by
  [[nodiscard]] std::int64_t tokens() const;
};
/// Throws `kData` when a corpus has fewer than `length` tokens, saying how many it has, and whatever the catalog
/// throws.
[[nodiscard]] CalibrationSet draw_calibration(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                              const Tokenizer& tokenizer, std::uint64_t seed);

}  // namespace LOWBIT_EXPORT
