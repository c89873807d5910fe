#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// A regular expression as Python's `re` reads it (run by PCRE2, in the syntax that both share), for finding answers in
/// what models write. Immutable.
class AnswerPattern {
 public:
  /// Throws `kConfig` naming the pattern and what is wrong with it.
  explicit AnswerPattern(const std::string& pattern);
  ~AnswerPattern();
  AnswerPattern(AnswerPattern&&) noexcept;
  AnswerPattern& operator=(AnswerPattern&&) noexcept;

  /// Of each match the first group that is not empty; all of it when the pattern has no groups; empty when no group
  /// matched anything. As `re.findall` finds them, in well-formed UTF-8. Throws `kUnsupported` when a search takes more
  /// steps than a sane pattern needs.
  [[nodiscard]] std::vector<std::string> find_all(std::string_view text) const;
  /// The text without the matches, as `re.sub` leaves it.
  [[nodiscard]] std::string erase_all(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace lowbit
