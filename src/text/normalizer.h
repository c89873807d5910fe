#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "text/regex.h"
#include "text/unicode.h"

namespace lowbit {

/// Rewrites a text before it is cut into words. Immutable.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Throws `kUnsupported` when the text grows beyond `growth_limit`.
  [[nodiscard]] std::string apply(std::string text) const;
  /// The same as a step among others, in which the text may grow to `limit` bytes.
  [[nodiscard]] virtual std::string run(std::string text, std::size_t limit) const = 0;
};

std::unique_ptr<Normalizer> normalizer_sequence(std::vector<std::unique_ptr<Normalizer>> steps);
std::unique_ptr<Normalizer> unicode_normalizer(NormalForm form);
std::unique_ptr<Normalizer> lowercase_normalizer();
/// Puts `prefix` before every text that is not empty.
std::unique_ptr<Normalizer> prepend_normalizer(std::string prefix);
std::unique_ptr<Normalizer> replace_normalizer(Regex pattern, std::string content);
std::unique_ptr<Normalizer> strip_normalizer(bool left, bool right);

/// `text` with each match replaced. Throws `kUnsupported` when that takes more than `limit` bytes.
std::string replace_all(const Regex& pattern, const std::string& text, const std::string& content, std::size_t limit);

}  // namespace lowbit
