#include "data/answer_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::size_t kMaxPatternBytes = 4096;
constexpr std::uint32_t kSteps = 1'000'000;

std::string text_of(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct AnswerPattern::Code {
  std::string pattern;
  pcre2_code* code = nullptr;
  pcre2_match_data* found = nullptr;
  pcre2_match_context* context = nullptr;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(found);
    pcre2_code_free(code);
  }

  /// Calls `use` with the ends of all groups of each match, the whole match first.
  template <typename Use>
  void each_match(std::string_view text, Use use) const {
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(found);
    std::uint32_t options = PCRE2_NO_UTF_CHECK;
    for (std::size_t start = 0; start <= text.size();) {
      const int status =
          pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, options, found, context);
      if (status == PCRE2_ERROR_NOMATCH) return;
      if (status < 0) {
        fail(ErrorCode::kUnsupported, "regular expression '{}' gives up on a text of {} bytes: {}", pattern,
             text.size(), text_of(status));
      }
      use(ends, static_cast<std::size_t>(status));
      // Behind an empty match Python looks for one that is not empty at the same place.
      options = PCRE2_NO_UTF_CHECK | (ends[0] == ends[1] ? PCRE2_NOTEMPTY_ATSTART : 0U);
      start = ends[1];
    }
  }
};

AnswerPattern::AnswerPattern(const std::string& pattern) : code_(std::make_unique<Code>()) {
  code_->pattern = pattern;
  if (pattern.size() > kMaxPatternBytes) {
    fail(ErrorCode::kConfig, "a regular expression of {} bytes, at most {} are accepted", pattern.size(),
         kMaxPatternBytes);
  }
  int error = 0;
  PCRE2_SIZE position = 0;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &position, nullptr);
  if (code_->code == nullptr) {
    fail(ErrorCode::kConfig, "regular expression '{}' cannot be used: {} at character {}", pattern, text_of(error),
         position + 1);
  }
  code_->found = pcre2_match_data_create_from_pattern(code_->code, nullptr);
  code_->context = pcre2_match_context_create(nullptr);
  if (code_->found == nullptr || code_->context == nullptr) {
    fail(ErrorCode::kIo, "no memory for a regular expression");
  }
  pcre2_set_match_limit(code_->context, kSteps);
}

AnswerPattern::~AnswerPattern() = default;
AnswerPattern::AnswerPattern(AnswerPattern&&) noexcept = default;
AnswerPattern& AnswerPattern::operator=(AnswerPattern&&) noexcept = default;

std::vector<std::string> AnswerPattern::find_all(std::string_view text) const {
  std::uint32_t groups = 0;
  pcre2_pattern_info(code_->code, PCRE2_INFO_CAPTURECOUNT, &groups);
  std::vector<std::string> answers;
  code_->each_match(text, [&](const PCRE2_SIZE* ends, std::size_t filled) {
    std::string_view answer;
    for (std::size_t group = groups == 0 ? 0 : 1; group < filled && answer.empty(); ++group) {
      if (ends[2 * group] != PCRE2_UNSET) answer = text.substr(ends[2 * group], ends[2 * group + 1] - ends[2 * group]);
    }
    answers.emplace_back(answer);
  });
  return answers;
}

std::string AnswerPattern::erase_all(std::string_view text) const {
  std::string kept;
  std::size_t position = 0;
  code_->each_match(text, [&](const PCRE2_SIZE* ends, std::size_t) {
    kept += text.substr(position, ends[0] - position);
    position = ends[1];
  });
  return kept.append(text.substr(position));
}

}  // namespace lowbit
