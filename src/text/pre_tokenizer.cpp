#include "text/pre_tokenizer.h"

#include <functional>
#include <utility>

#include "text/byte_level.h"
#include "text/growth.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

// Replaces each range by what `divide` appends for it.
void cut(Pieces& pieces, const std::function<void(const Range&, std::vector<Range>&)>& divide) {
  std::vector<Range> parts;
  parts.reserve(pieces.ranges.size());
  for (const Range& range : pieces.ranges) divide(range, parts);
  pieces.ranges = std::move(parts);
}

// Makes a new text of what `write` appends for each piece.
void rewrite(Pieces& pieces, const std::function<void(const Range&, std::string&)>& write) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.ranges.size());
  for (Range& range : pieces.ranges) {
    const std::size_t begin = text.size();
    write(range, text);
    check_growth(text.size(), pieces.limit);
    range = {begin, text.size()};
  }
  pieces.text = std::move(text);
}

bool starts_input(const Pieces& pieces, const Range& range) { return pieces.at_start && range.begin == 0; }

class SequencePreTokenizer : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {}
  void apply(Pieces& pieces) const override {
    for (const auto& step : steps_) step->apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Regex regex, SplitBehavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<Range> matches;
    cut(pieces, [&](const Range& range, std::vector<Range>& parts) {
      const std::string_view piece = pieces.view(range);
      matches.clear();
      regex_.find_all(piece, matches);
      append_split(cover(matches, piece.size(), invert_), behavior_, range.begin, parts);
    });
  }

 private:
  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

class DigitsPreTokenizer : public PreTokenizer {
 public:
  explicit DigitsPreTokenizer(bool individual) : individual_(individual) {}

  void apply(Pieces& pieces) const override {
    cut(pieces, [&](const Range& range, std::vector<Range>& parts) { divide(pieces, range, parts); });
  }

 private:
  void divide(const Pieces& pieces, const Range& range, std::vector<Range>& parts) const {
    std::size_t begin = range.begin;
    bool last_numeric = false;
    for (std::size_t at = range.begin; at < range.end;) {
      const CodePoint next = code_point_at(pieces.text, at);
      const bool numeric = is_numeric(next.value);
      if (at > begin && (numeric != last_numeric || (numeric && individual_))) {
        parts.push_back({begin, at});
        begin = at;
      }
      last_numeric = numeric;
      at += next.size;
    }
    parts.push_back({begin, range.end});
  }

  bool individual_;
};

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) {
      words_ = split_pre_tokenizer(Regex(kGpt2Pattern, "the GPT-2 pre-tokenizer"), SplitBehavior::kIsolated, false);
    }
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      rewrite(pieces, [&](const Range& range, std::string& out) {
        const std::string_view piece = pieces.view(range);
        if (piece.front() != ' ') out += ' ';
        out += piece;
      });
    }
    if (words_ != nullptr) words_->apply(pieces);
    rewrite(pieces, [&](const Range& range, std::string& out) { append_byte_characters(out, pieces.view(range)); });
  }

 private:
  bool add_prefix_space_;
  std::unique_ptr<PreTokenizer> words_;
};

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  MetaspacePreTokenizer(std::string replacement, PrefixScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  void apply(Pieces& pieces) const override {
    rewrite(pieces, [&](const Range& range, std::string& out) { write(pieces, range, out); });
    if (split_) {
      cut(pieces, [&](const Range& range, std::vector<Range>& parts) { divide(pieces, range, parts); });
    }
  }

 private:
  void write(const Pieces& pieces, const Range& range, std::string& out) const {
    const std::string_view piece = pieces.view(range);
    const bool wanted =
        scheme_ == PrefixScheme::kAlways || (scheme_ == PrefixScheme::kFirst && starts_input(pieces, range));
    const bool there = piece.front() == ' ' || piece.substr(0, replacement_.size()) == replacement_;
    if (wanted && !there) out += replacement_;
    for (const char c : piece) {
      if (c == ' ') {
        out += replacement_;
      } else {
        out += c;
      }
    }
  }

  void divide(const Pieces& pieces, const Range& range, std::vector<Range>& parts) const {
    const std::string_view piece = pieces.view(range);
    std::vector<Range> matches;
    for (std::size_t at = piece.find(replacement_); at != std::string_view::npos;
         at = piece.find(replacement_, at + replacement_.size())) {
      matches.push_back({at, at + replacement_.size()});
    }
    append_split(cover(matches, piece.size(), false), SplitBehavior::kMergedWithNext, range.begin, parts);
  }

  std::string replacement_;
  PrefixScheme scheme_;
  bool split_;
};

}  // namespace

std::unique_ptr<PreTokenizer> pre_tokenizer_sequence(std::vector<std::unique_ptr<PreTokenizer>> steps) {
  return std::make_unique<SequencePreTokenizer>(std::move(steps));
}
std::unique_ptr<PreTokenizer> split_pre_tokenizer(Regex regex, SplitBehavior behavior, bool invert) {
  return std::make_unique<SplitPreTokenizer>(std::move(regex), behavior, invert);
}
std::unique_ptr<PreTokenizer> digits_pre_tokenizer(bool individual) {
  return std::make_unique<DigitsPreTokenizer>(individual);
}
std::unique_ptr<PreTokenizer> byte_level_pre_tokenizer(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevelPreTokenizer>(add_prefix_space, use_regex);
}
std::unique_ptr<PreTokenizer> metaspace_pre_tokenizer(std::string replacement, PrefixScheme scheme, bool split) {
  return std::make_unique<MetaspacePreTokenizer>(std::move(replacement), scheme, split);
}

}  // namespace lowbit
