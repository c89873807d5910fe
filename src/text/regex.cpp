#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "lowbit/base/error.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

// A pattern of a tokenizer backtracks over one run of white space or letters at most; the text's length times a small
// number is enough for that, while a catastrophic pattern needs powers of two. Nearly all searches end within the quick
// steps. Those that do not are tried again with the patient ones, but only so often a text, or a hostile pattern could
// spend them at every byte.
constexpr std::size_t kQuickSteps = 10'000;
constexpr std::size_t kPatientSteps = 5'000'000;
constexpr std::size_t kStepsPerByte = 16;
constexpr std::size_t kBytesPerPatientSearch = 250;

constexpr std::size_t patient_steps(std::size_t text_bytes) {
  return std::min(kPatientSteps + kStepsPerByte * text_bytes, kQuickSteps * (text_bytes + 2));
}
constexpr std::size_t kJitStackBytes = std::size_t{16} << 20;
constexpr std::uint32_t kHeapKibibytes = 256 * 1024;
constexpr std::size_t kMaxPatternBytes = 64 * 1024;
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 31;

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

// What a search needs besides the pattern; one a thread, since the stack is large.
class Scratch {
 public:
  Scratch()
      : data_(pcre2_match_data_create(1, nullptr)),
        context_(pcre2_match_context_create(nullptr)),
        stack_(pcre2_jit_stack_create(std::size_t{32} << 10, kJitStackBytes, nullptr)) {
    if (data_ == nullptr || context_ == nullptr || stack_ == nullptr) {
      fail(ErrorCode::kIo, "no memory for a regular expression's stack");
    }
    pcre2_jit_stack_assign(context_, nullptr, stack_);
    pcre2_set_heap_limit(context_, kHeapKibibytes);
  }
  ~Scratch() {
    pcre2_jit_stack_free(stack_);
    pcre2_match_context_free(context_);
    pcre2_match_data_free(data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  pcre2_match_data* data() { return data_; }
  // Searches from `start` on and says what PCRE2 does.
  int search(const pcre2_code* code, std::string_view text, std::size_t start, std::size_t steps) {
    pcre2_set_match_limit(context_, static_cast<std::uint32_t>(std::min(steps, std::size_t{0xFFFFFFFF})));
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, PCRE2_NO_UTF_CHECK, data_,
                       context_);
  }

 private:
  pcre2_match_data* data_;
  pcre2_match_context* context_;
  pcre2_jit_stack* stack_;
};

}  // namespace

struct Regex::Code {
  std::string pattern;
  std::string origin;
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern, std::string_view origin) : code_(std::make_unique<Code>()) {
  code_->pattern = pattern;
  code_->origin = origin;
  const auto refuse = [&](std::string_view reason) {
    fail(ErrorCode::kUnsupported, "{}: regular expression '{}' cannot be used: {}", origin, pattern, reason);
  };
  if (pattern.size() > kMaxPatternBytes) {
    fail(ErrorCode::kUnsupported, "{}: a regular expression of {} bytes, at most {} are accepted", origin,
         pattern.size(), kMaxPatternBytes);
  }
  std::string translated;
  try {
    translated = translate_pattern(pattern);
  } catch (const Error& error) {
    refuse(error.what());
  }
  int error = 0;
  PCRE2_SIZE position = 0;
  code_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_MULTILINE, &error, &position, nullptr);
  if (code_->code == nullptr) refuse(error_text(error));
  // Without a just-in-time compiler on this machine the interpreter does the same, only slower.
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::find_all(std::string_view text, std::vector<Range>& matches) const {
  thread_local Scratch scratch;
  if (text.size() > kMaxTextBytes) {
    fail(ErrorCode::kUnsupported, "{}: a text of {} bytes, at most {} are accepted at once", code_->origin, text.size(),
         kMaxTextBytes);
  }
  std::size_t patient_searches = 4 + text.size() / kBytesPerPatientSearch;
  const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(scratch.data());
  std::size_t last_end = std::string_view::npos;
  for (std::size_t start = 0; start <= text.size();) {
    int status = scratch.search(code_->code, text, start, kQuickSteps);
    if (status == PCRE2_ERROR_MATCHLIMIT && patient_searches > 0) {
      --patient_searches;
      status = scratch.search(code_->code, text, start, patient_steps(text.size()));
    }
    if (status == PCRE2_ERROR_NOMATCH) return;
    if (status < 0) {
      fail(ErrorCode::kUnsupported, "{}: regular expression '{}' gives up at byte {} of a text: {}", code_->origin,
           code_->pattern, start, error_text(status));
    }
    if (found[0] == found[1] && found[1] == last_end) {
      if (last_end >= text.size()) return;
      start = last_end + code_point_at(text, last_end).size;
      continue;
    }
    matches.push_back({found[0], found[1]});
    start = last_end = found[1];
  }
}

}  // namespace lowbit
