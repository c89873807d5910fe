#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// A stretch of bytes [begin, end).
struct Range {
  std::size_t begin;
  std::size_t end;
  friend bool operator==(const Range&, const Range&) = default;
};

/// A regular expression as tokenizer.json files write them: Oniguruma's Ruby syntax with Unicode classes, run by PCRE2.
/// Where the two engines differ the pattern is rewritten, or refused when that is not possible. Immutable.
class Regex {
 public:
  /// Throws `kUnsupported` as "<origin>: regular expression '<pattern>' ...".
  Regex(std::string_view pattern, std::string_view origin);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// Appends all matches in well-formed UTF-8, left to right, not overlapping; an empty one never touches the match
  /// before it. Throws `kUnsupported` when the search takes more steps than a sane pattern needs.
  void find_all(std::string_view text, std::vector<Range>& matches) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

/// `pattern` with each character that means something to a regular expression escaped.
std::string escape_regex(std::string_view literal);

/// The pattern in PCRE2's syntax. Throws `kUnsupported` with the reason alone.
std::string translate_pattern(std::string_view pattern);

}  // namespace lowbit
