#include "calibration/text_census.h"

#include <algorithm>
#include <iterator>

#include "base/trimmed.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

struct Script {
  char32_t first, last;
  const char* name;
};
// The blocks in which most of the letters of each script stand (Unicode 15, Blocks.txt).
constexpr Script kScripts[] = {
    {U'A', U'Z', "Latin"},      {U'a', U'z', "Latin"},          {0x00C0, 0x024F, "Latin"},
    {0x0370, 0x03FF, "Greek"},  {0x0400, 0x052F, "Cyrillic"},   {0x0590, 0x05FF, "Hebrew"},
    {0x0600, 0x077F, "Arabic"}, {0x0900, 0x097F, "Devanagari"}, {0x0980, 0x0DFF, "other Indic"},
    {0x0E00, 0x0E7F, "Thai"},   {0x1E00, 0x1EFF, "Latin"},      {0x1F00, 0x1FFF, "Greek"},
    {0x3040, 0x30FF, "Kana"},   {0x3400, 0x9FFF, "Han"},        {0xAC00, 0xD7AF, "Hangul"},
    {0xF900, 0xFAFF, "Han"},    {0x20000, 0x3FFFF, "Han"}};

const char* script_of(char32_t letter) {
  const auto found = std::find_if(std::begin(kScripts), std::end(kScripts), [&](const Script& script) {
    return letter >= script.first && letter <= script.last;
  });
  return found == std::end(kScripts) ? nullptr : found->name;
}

constexpr std::string_view kBeginnings[] = {"def ",   "class ",  "import ",  "#include", "return ",
                                            "if (",   "for (",   "while (",  "} ",       "function ",
                                            "const ", "public ", "private ", "var "};
constexpr std::string_view kEnds[] = {";", "{", "}", "):"};

bool looks_like_code(std::string_view line) {
  return std::any_of(std::begin(kBeginnings), std::end(kBeginnings),
                     [&](std::string_view beginning) { return line.starts_with(beginning); }) ||
         std::any_of(std::begin(kEnds), std::end(kEnds), [&](std::string_view end) { return line.ends_with(end); });
}

}  // namespace

void TextCensus::add(std::string_view text) {
  for (const char32_t letter : decode_utf8(text)) {
    if (const char* script = script_of(letter)) ++letters_[script];
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end), " \t\r");
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    ++lines_;
    if (looks_like_code(line)) ++code_lines_;
  }
}

double TextCensus::code_share() const {
  return lines_ == 0 ? 0.0 : static_cast<double>(code_lines_) / static_cast<double>(lines_);
}

}  // namespace lowbit
