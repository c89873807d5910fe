#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace lowbit {

/// What kinds of text there are: letters by script, and lines that look like program text.
class TextCensus {
 public:
  void add(std::string_view text);
  [[nodiscard]] const std::map<std::string, std::int64_t>& letters() const { return letters_; }
  /// Of the lines that are not blank.
  [[nodiscard]] double code_share() const;

 private:
  std::map<std::string, std::int64_t> letters_;
  std::int64_t lines_ = 0;
  std::int64_t code_lines_ = 0;
};

}  // namespace lowbit
