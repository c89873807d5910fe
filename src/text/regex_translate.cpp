#include <array>
#include <cctype>
#include <string_view>

#include "lowbit/base/error.h"
#include "text/regex.h"

namespace lowbit {
namespace {

// Properties whose names PCRE2 knows by itself and reads as Oniguruma does. Others are taken as scripts.
constexpr std::array<std::string_view, 6> kPlainProperties = {"Alphabetic", "White_Space", "Any",
                                                              "Lowercase",  "Uppercase",   "Emoji"};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character(c);
      } else if (c == '[') {
        open_class();
      } else if (c == '(') {
        group();
      } else {
        if (c == '{') check_repetition();
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] static void refuse(std::string_view reason) { fail(ErrorCode::kUnsupported, "{}", reason); }

  void copy(std::size_t count) {
    out_.append(in_.substr(at_, count));
    at_ += count;
  }

  void open_class() {
    in_class_ = true;
    copy(1);
    if (at_ < in_.size() && in_[at_] == '^') copy(1);
    if (at_ < in_.size() && in_[at_] == ']') refuse("']' at the start of a class is ambiguous; write '\\]'");
  }

  void class_character(char c) {
    if (c == '[') {
      if (at_ + 1 < in_.size() && in_[at_ + 1] == ':') refuse("POSIX classes such as '[:alpha:]' are not known");
      refuse("a class within a class is not known");
    }
    if (c == '&' && at_ + 1 < in_.size() && in_[at_ + 1] == '&') refuse("class intersection '&&' is not known");
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void check_repetition() const {
    const std::size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return;
    const std::string_view counts = in_.substr(at_ + 1, end - at_ - 1);
    if (!counts.empty() && counts[0] == ',') refuse("write '{0,n}' for '{,n}'");
    const char next = end + 1 < in_.size() ? in_[end + 1] : '\0';
    if (next == '+') refuse("'{n,m}+' repeats a repetition here and is possessive elsewhere");
    if (next == '?' && counts.find(',') == std::string_view::npos) refuse("'{n}?' has two meanings");
  }

  // Of the constructs that start with "(?" those that both engines read alike.
  void group() {
    const std::string_view rest = in_.substr(at_);
    if (at_ == 0 && rest.substr(0, 4) == "(?i)") return copy(4);  // elsewhere its reach differs
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (rest.substr(0, known.size()) == known) return copy(known.size());
    }
    if (rest.substr(0, 2) == "(?" || rest.substr(0, 2) == "(*") {
      refuse("only the groups (...), (?:...), (?i:...), (?=...), (?!...), (?<=...), (?<!...) and (?>...) are known");
    }
    copy(1);
  }

  void escape() {
    if (at_ + 1 >= in_.size()) refuse("it ends in a backslash");
    const char c = in_[at_ + 1];
    switch (c) {
      case 's': return replace("\\p{White_Space}");
      case 'S': return replace("\\P{White_Space}");
      case 'w': return word();
      case 'p':
      case 'P': return property();
      case 'd':
      case 'D':
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'v': return c == 'v' ? replace("\\x0B") : copy(2);
      case 'x': return hexadecimal();
      case 'u': return four_digits();
      case 'A':
      case 'z':
      case 'Z': return copy(2);
      default: break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isalnum(byte)) refuse(std::string("escape '\\") + c + "' is not known");
    copy(byte < 0x80 ? 2 : 1);
    if (byte >= 0x80) out_.pop_back();  // a backslash before a character that needs none
  }

  void replace(std::string_view text) {
    out_.append(text);
    at_ += 2;
  }

  // The word characters of Oniguruma; those of PCRE2 depend on its version.
  void word() {
    constexpr std::string_view kMembers = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
    if (!in_class_) out_ += '[';
    replace(kMembers);
    if (!in_class_) out_ += ']';
  }

  void property() {
    if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{') refuse("'\\p' must be followed by '{name}'");
    const std::size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) refuse("'\\p{' without '}'");
    std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    const bool category = (name.size() == 1 || name.size() == 2) && std::isupper(static_cast<unsigned char>(name[0]));
    bool plain = category;
    for (const auto known : kPlainProperties) plain = plain || name == known;
    out_ += negated ? "\\P{" : "\\p{";
    // A bare script name would also take in characters that other scripts share.
    if (!plain) out_ += "sc:";
    out_.append(name);
    out_ += '}';
    at_ = end + 1;
  }

  void hexadecimal() {
    const std::size_t digits = at_ + 2;
    if (digits < in_.size() && in_[digits] == '{') {
      const std::size_t end = in_.find('}', digits);
      if (end == std::string_view::npos) refuse("'\\x{' without '}'");
      return copy(end + 1 - at_);
    }
    std::size_t count = 0;
    while (count < 2 && digits + count < in_.size() && std::isxdigit(static_cast<unsigned char>(in_[digits + count]))) {
      ++count;
    }
    if (count != 2) refuse("'\\x' must be followed by two hexadecimal digits");
    // Two digits above 7F are a byte of UTF-8 to Oniguruma and a character to PCRE2.
    if (in_[digits] > '7') refuse("'\\x' above 7F is ambiguous; write '\\x{...}'");
    copy(4);
  }

  void four_digits() {
    for (std::size_t i = at_ + 2; i < at_ + 6; ++i) {
      if (i >= in_.size() || !std::isxdigit(static_cast<unsigned char>(in_[i]))) {
        refuse("'\\u' must be followed by four hexadecimal digits");
      }
    }
    out_.append("\\x{").append(in_.substr(at_ + 2, 4)).append("}");
    at_ += 6;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  bool in_class_ = false;
};

}  // namespace

std::string translate_pattern(std::string_view pattern) { return Translator(pattern).run(); }

std::string escape_regex(std::string_view literal) {
  std::string result;
  for (const char c : literal) {
    if (std::string_view("\\^$.|?*+()[]{}#-&~/").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

}  // namespace lowbit
