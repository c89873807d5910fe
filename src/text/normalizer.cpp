#include "text/normalizer.h"

#include <utility>

#include "text/growth.h"

namespace lowbit {
namespace {

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  std::string run(std::string text, std::size_t limit) const override {
    for (const auto& step : steps_) {
      text = step->run(std::move(text), limit);
      check_growth(text.size(), limit);
    }
    return text;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form) : form_(form) {}
  std::string run(std::string text, std::size_t) const override { return normalize_unicode(text, form_); }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  std::string run(std::string text, std::size_t) const override { return to_lower(text); }
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string run(std::string text, std::size_t) const override { return text.empty() ? text : prefix_ + text; }

 private:
  std::string prefix_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string run(std::string text, std::size_t limit) const override {
    return replace_all(pattern_, text, content_, limit);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  std::string run(std::string text, std::size_t) const override {
    std::size_t begin = 0;
    std::size_t end = text.size();
    while (left_ && begin < end) {
      const CodePoint next = code_point_at(text, begin);
      if (!is_white_space(next.value)) break;
      begin += next.size;
    }
    while (right_ && begin < end) {
      const std::size_t last = previous_position(text, end);
      if (!is_white_space(code_point_at(text, last).value)) break;
      end = last;
    }
    return text.substr(begin, end - begin);
  }

 private:
  bool left_;
  bool right_;
};

}  // namespace

std::string Normalizer::apply(std::string text) const {
  const std::size_t limit = growth_limit(text.size());
  text = run(std::move(text), limit);
  check_growth(text.size(), limit);
  return text;
}

std::string replace_all(const Regex& pattern, const std::string& text, const std::string& content, std::size_t limit) {
  std::vector<Range> matches;
  pattern.find_all(text, matches);
  std::string result;
  std::size_t end = 0;
  for (const Range& match : matches) {
    result.append(text, end, match.begin - end).append(content);
    end = match.end;
    check_growth(result.size(), limit);
  }
  return result.append(text, end);
}

std::unique_ptr<Normalizer> normalizer_sequence(std::vector<std::unique_ptr<Normalizer>> steps) {
  return std::make_unique<SequenceNormalizer>(std::move(steps));
}
std::unique_ptr<Normalizer> unicode_normalizer(NormalForm form) { return std::make_unique<UnicodeNormalizer>(form); }
std::unique_ptr<Normalizer> lowercase_normalizer() { return std::make_unique<LowercaseNormalizer>(); }
std::unique_ptr<Normalizer> prepend_normalizer(std::string prefix) {
  return std::make_unique<PrependNormalizer>(std::move(prefix));
}
std::unique_ptr<Normalizer> replace_normalizer(Regex pattern, std::string content) {
  return std::make_unique<ReplaceNormalizer>(std::move(pattern), std::move(content));
}
std::unique_ptr<Normalizer> strip_normalizer(bool left, bool right) {
  return std::make_unique<StripNormalizer>(left, right);
}

}  // namespace lowbit
