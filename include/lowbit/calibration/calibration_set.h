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
};

/// `{dataset: wikitext2, samples: 128, length: 512}` or `{mix: [{dataset: a, weight: 0.5}, ...], samples: ..., length: ...}`.
struct CalibrationOptions {
  std::string name;                    ///< how tables call it; by default the datasets' names joined by "+"
  std::vector<CalibrationPart> parts;
  std::int64_t samples = 128;
  std::int64_t length = 512;
};
[[nodiscard]] CalibrationOptions decode_calibration(const ConfigNode& node, ConfigProblems& problems);
[[nodiscard]] ConfigNode echo_calibration(const CalibrationOptions& options);

/// Token sequences for calibration: `samples` windows of exactly `length` tokens, each at a random offset of a corpus
/// that is joined and tokenized once (as GPTQ draws them from WikiText-2). Windows of one set do not overlap unless the
/// corpus is too short for that. The draw is a function of corpus, options and seed.
struct CalibrationSet {
  CalibrationOptions options;
  std::uint64_t seed = 0;
  std::vector<std::vector<TokenId>> sequences;
  Hash hash;  ///< of the tokens: what everything made from the set is keyed by
  [[nodiscard]] std::int64_t tokens() const;
};
/// Throws `kData` when a corpus has fewer than `length` tokens, saying how many it has.
[[nodiscard]] CalibrationSet draw_calibration(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                              const Tokenizer& tokenizer, std::uint64_t seed);

}  // namespace lowbit
