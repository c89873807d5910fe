#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/pieces.h"
#include "text/regex.h"

namespace lowbit {

/// Cuts a normalized text into the words that the model then codes one by one. Immutable.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

enum class PrefixScheme { kAlways, kFirst, kNever };

std::unique_ptr<PreTokenizer> pre_tokenizer_sequence(std::vector<std::unique_ptr<PreTokenizer>> steps);
std::unique_ptr<PreTokenizer> split_pre_tokenizer(Regex regex, SplitBehavior behavior, bool invert);
/// Numeric characters apart from the rest; each for itself when `individual`.
std::unique_ptr<PreTokenizer> digits_pre_tokenizer(bool individual);
/// Cuts by GPT-2's pattern when `use_regex`, then turns each byte into its character.
std::unique_ptr<PreTokenizer> byte_level_pre_tokenizer(bool add_prefix_space, bool use_regex);
/// Spaces become `replacement` (one character), which also starts a piece that lacks it; cut before each when `split`.
std::unique_ptr<PreTokenizer> metaspace_pre_tokenizer(std::string replacement, PrefixScheme scheme, bool split);

}  // namespace lowbit
