#include "text/json_components.h"

#include <array>
#include <limits>

#include "text/unicode.h"

namespace lowbit {
namespace {

template <typename Step, typename Make>
std::vector<std::unique_ptr<Step>> steps(const JsonNode& list, const Make& make) {
  std::vector<std::unique_ptr<Step>> result;
  for (const JsonNode& item : list.items()) result.push_back(make(item));
  return result;
}

[[noreturn]] void unsupported(const JsonNode& node, std::string_view what, std::string_view known) {
  fail(ErrorCode::kUnsupported, "{}: the {} '{}' is not supported; known are {}", node.where(), what,
       node.at("type").text(), known);
}

std::string one_character(const JsonNode& node) {
  const std::string& text = node.text();
  if (text.empty() || code_point_at(text, 0).size != text.size()) {
    fail(ErrorCode::kData, "{} must be one character, not '{}'", node.where(), text);
  }
  return text;
}

std::size_t count(const JsonNode& node) {
  const std::int64_t value = node.integer();
  if (value < 0) fail(ErrorCode::kData, "{} must not be negative, but is {}", node.where(), value);
  return static_cast<std::size_t>(value);
}

std::string metaspace_replacement(const JsonNode& node) {
  const auto replacement = node.find("replacement");
  return replacement ? one_character(*replacement) : "\xE2\x96\x81";
}

PrefixScheme metaspace_scheme(const JsonNode& node) {
  const auto scheme = node.find("prepend_scheme");
  if (!scheme) return node.flag("add_prefix_space", true) ? PrefixScheme::kAlways : PrefixScheme::kNever;
  const std::string& name = scheme->text();
  if (name == "always") return PrefixScheme::kAlways;
  if (name == "first") return PrefixScheme::kFirst;
  if (name == "never") return PrefixScheme::kNever;
  fail(ErrorCode::kData, "{} is '{}', expected 'always', 'first' or 'never'", scheme->where(), name);
}

SplitBehavior behavior(const JsonNode& node) {
  static constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kNames = {{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  for (const auto& [name, value] : kNames) {
    if (node.text() == name) return value;
  }
  fail(ErrorCode::kData, "{} is '{}', expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
       node.where(), node.text());
}

}  // namespace

Regex pattern_from_json(const JsonNode& node) {
  if (const auto regex = node.find("Regex")) return Regex(regex->text(), regex->where());
  const JsonNode literal = node.at("String");
  if (literal.text().empty()) return Regex("(?!)", literal.where());  // an empty string is found nowhere
  return Regex(escape_regex(literal.text()), literal.where());
}

std::unique_ptr<Normalizer> normalizer_from_json(const JsonNode& node) {
  const std::string type = node.at("type").text();
  if (type == "Sequence") return normalizer_sequence(steps<Normalizer>(node.at("normalizers"), normalizer_from_json));
  if (type == "NFC") return unicode_normalizer(NormalForm::kNfc);
  if (type == "NFD") return unicode_normalizer(NormalForm::kNfd);
  if (type == "NFKC") return unicode_normalizer(NormalForm::kNfkc);
  if (type == "NFKD") return unicode_normalizer(NormalForm::kNfkd);
  if (type == "Lowercase") return lowercase_normalizer();
  if (type == "Prepend") return prepend_normalizer(node.at("prepend").text());
  if (type == "Replace") {
    return replace_normalizer(pattern_from_json(node.at("pattern")), node.at("content").text());
  }
  if (type == "Strip") return strip_normalizer(node.flag("strip_left", true), node.flag("strip_right", true));
  unsupported(node, "normalizer", "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip");
}

std::unique_ptr<PreTokenizer> pre_tokenizer_from_json(const JsonNode& node) {
  const std::string type = node.at("type").text();
  if (type == "Sequence") {
    return pre_tokenizer_sequence(steps<PreTokenizer>(node.at("pretokenizers"), pre_tokenizer_from_json));
  }
  if (type == "ByteLevel") {
    return byte_level_pre_tokenizer(node.flag("add_prefix_space", true), node.flag("use_regex", true));
  }
  if (type == "Split") {
    return split_pre_tokenizer(pattern_from_json(node.at("pattern")), behavior(node.at("behavior")),
                               node.flag("invert", false));
  }
  if (type == "Digits") return digits_pre_tokenizer(node.flag("individual_digits", false));
  if (type == "Metaspace") {
    return metaspace_pre_tokenizer(metaspace_replacement(node), metaspace_scheme(node), node.flag("split", true));
  }
  unsupported(node, "pre-tokenizer", "Sequence, ByteLevel, Split, Digits, Metaspace");
}

std::unique_ptr<Decoder> decoder_from_json(const JsonNode& node) {
  const std::string type = node.at("type").text();
  if (type == "Sequence") return decoder_sequence(steps<Decoder>(node.at("decoders"), decoder_from_json));
  if (type == "ByteLevel") return byte_level_decoder(false);
  if (type == "ByteFallback") return byte_fallback_decoder();
  if (type == "Fuse") return fuse_decoder();
  if (type == "Replace") return replace_decoder(pattern_from_json(node.at("pattern")), node.at("content").text());
  if (type == "Strip") {
    return strip_decoder(one_character(node.at("content")), count(node.at("start")), count(node.at("stop")));
  }
  if (type == "Metaspace") {
    return metaspace_decoder(metaspace_replacement(node), metaspace_scheme(node) != PrefixScheme::kNever);
  }
  unsupported(node, "decoder", "Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace");
}

TokenId token_id_from_json(const JsonNode& node) {
  const std::int64_t id = node.integer();
  if (id < 0 || id > std::numeric_limits<TokenId>::max()) {
    fail(ErrorCode::kData, "{} is {}, expected a token id", node.where(), id);
  }
  return static_cast<TokenId>(id);
}

AddedToken added_token_from_json(const JsonNode& node, TokenId id) {
  AddedToken token;
  token.content = node.at("content").text();
  token.id = id;
  token.single_word = node.flag("single_word", false);
  token.lstrip = node.flag("lstrip", false);
  token.rstrip = node.flag("rstrip", false);
  token.special = node.flag("special", false);
  token.normalized = node.flag("normalized", !token.special);
  return token;
}

std::vector<AddedToken> added_tokens_from_json(const JsonNode& list) {
  std::vector<AddedToken> result;
  for (const JsonNode& item : list.items()) {
    AddedToken token = added_token_from_json(item, token_id_from_json(item.at("id")));
    if (!token.content.empty()) result.push_back(std::move(token));
  }
  return result;
}

}  // namespace lowbit
