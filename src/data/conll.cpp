#include "data/conll.h"

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "data/lines.h"
#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

struct TaggedWord {
  std::string_view word, tag;
};

/// Nothing when one of the two is missing.
std::optional<TaggedWord> split_line(std::string_view line) {
  std::size_t end = line.rfind('\t');
  if (end == std::string_view::npos) end = line.rfind(' ');
  if (end == std::string_view::npos || end == 0 || end + 1 == line.size()) return std::nullopt;
  return TaggedWord{line.substr(0, end), line.substr(end + 1)};
}

class Sentence {
 public:
  /// False when the tag is of no known form.
  bool add(const TaggedWord& word) {
    const bool inside = word.tag.starts_with("I-");
    const bool in_name = (inside || word.tag.starts_with("B-")) && word.tag.size() > 2;
    if (!in_name && word.tag != "O") return false;
    const std::string_view type = in_name ? word.tag.substr(2) : "";
    if (inside && type == type_) {
      name_.append(" ").append(word.word);
    } else {
      close_name();
      type_ = type;
      name_ = word.word;
    }
    words_.push_back(word.word);
    tags_.push_back(word.tag);
    text_.append(text_.empty() ? "" : " ").append(word.word);
    return true;
  }

  [[nodiscard]] bool empty() const { return words_.empty(); }

  [[nodiscard]] Json columns() {
    close_name();
    return {{"text", text_}, {"words", words_}, {"tags", tags_}, {"entities", entities_}};
  }

 private:
  void close_name() {
    if (type_.empty()) return;
    if (seen_.emplace(type_, name_).second) entities_[type_].push_back(name_);
    type_.clear();
  }

  std::string text_;
  Json words_ = Json::array();
  Json tags_ = Json::array();
  Json entities_ = Json::object();
  std::set<std::pair<std::string, std::string>> seen_;
  std::string type_;  // of the name that is open; empty: none
  std::string name_;
};

class SentenceReader {
 public:
  SentenceReader(std::string_view origin, Rows& out) : origin_(origin), out_(out) {}

  void line(std::string_view line, std::int64_t number) {
    if (is_blank(line) || line.starts_with("-DOCSTART-")) {
      finish();
      return;
    }
    if (line == "\tO") return;  // a word that was lost
    if (sentence_.empty() && problem_.empty()) first_ = number;
    const std::optional<TaggedWord> word = split_line(line);
    if (problem_.empty() && find_invalid_utf8(line)) problem_ = fmt::format("line {} is not valid UTF-8", number);
    if (problem_.empty() && (!word || !sentence_.add(*word))) {
      problem_ = fmt::format("line {} has no word with a tag behind it: O, B-<type> or I-<type>", number);
    }
  }

  void finish() {
    const std::string where = fmt::format("{}:{}", origin_, first_);
    if (!problem_.empty()) {
      out_.problems.push_back({where, std::move(problem_)});
    } else if (!sentence_.empty()) {
      out_.rows.push_back({.columns = sentence_.columns(), .where = where, .group = {}, .number = 0});
    }
    problem_.clear();
    sentence_ = {};
  }

 private:
  std::string_view origin_;
  Rows& out_;
  Sentence sentence_;
  std::string problem_;
  std::int64_t first_ = 0;
};

}  // namespace

void read_tagged_sentences(std::string_view text, std::string_view origin, Rows& out) {
  SentenceReader reader(origin, out);
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    reader.line(without_carriage_return(line), number);
    return true;
  });
  reader.finish();
}

}  // namespace lowbit
