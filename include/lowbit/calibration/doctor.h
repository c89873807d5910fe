#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/model/architecture.h"

namespace lowbit LOWBIT_EXPORT {

/// What a calibration set is made of, seen before hours are spent on it.
struct CalibrationHealth {
  /// Sequences of low .. high tokens.
  struct Lengths {
    std::int64_t low, high, sequences;
  };
  /// Linears that see inputs of one width: how many tokens each has for every input.
  struct Linears {
    std::string names;  ///< "q, k, v, gate, up"
    std::int64_t inputs = 0;
    double tokens_per_input = 0;
  };
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  std::vector<Lengths> lengths;      ///< by powers of two, rising; empty ones left out
  std::int64_t duplicates = 0;       ///< sequences that an earlier one equals
  double repeated = 0;               ///< share of the tokens inside runs of 32 that stood in an earlier sequence
  std::int64_t truncated = 0;        ///< sequences that lost their beginning
  double truncation_loss = 0;        ///< share of their documents' tokens that was lost so
  std::int64_t begins_with_bos = 0;  ///< sequences
  std::int64_t ends_with_eos = 0;    ///< sequences
  std::int64_t distinct_tokens = 0;  ///< of the vocabulary
  std::vector<std::pair<std::string, double>> scripts;  ///< share of the letters, falling
  double code = 0;                                      ///< share of the lines that look like program text
  std::vector<Linears> linears;
  std::vector<std::string> remarks;   ///< what may be meant so
  std::vector<std::string> problems;  ///< too little for what calibration computes
};

/// A line looks like program text when it ends in ';', '{', '}' or '):', or begins with a keyword of declarations and
/// control flow. Tokens are too few when a linear has fewer of them than inputs: its Hessian is then singular, whatever
/// the texts are.
[[nodiscard]] CalibrationHealth examine(const CalibrationSet& set, const Tokenizer& tokenizer,
                                        const Architecture& architecture);

}  // namespace LOWBIT_EXPORT
