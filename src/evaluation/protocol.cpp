#include "evaluation/protocol.h"

#include <algorithm>
#include <charconv>

#include "evaluation/wikitext.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::int64_t kMaxLength = 1 << 24;

/// "-512" -> 512; "" -> 0; nothing for all else.
std::optional<std::int64_t> parse_length(std::string_view text) {
  if (text.empty()) return 0;
  if (text.front() != '-') return std::nullopt;
  std::int64_t length = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size() || length < 2 || length > kMaxLength)
    return std::nullopt;
  return length;
}

struct Family {
  std::string_view prefix;
  Protocol::Kind kind;
  bool needs_length;
  bool detokenize;
};
// "lm-eval-wikitext" before "lm-eval", of which it is a longer form.
constexpr Family kFamilies[] = {{"gptq", Protocol::Kind::kGptq, true, false},
                                {"llama.cpp", Protocol::Kind::kLlamaCpp, true, false},
                                {"lm-eval-wikitext", Protocol::Kind::kLmEval, false, true},
                                {"lm-eval", Protocol::Kind::kLmEval, false, false}};

void add_unit(ProtocolPlan& plan, std::string id, std::vector<ScoreRequest> requests) {
  ScoredUnit unit{
      .id = std::move(id), .first_request = plan.requests.size(), .requests = requests.size(), .weight = 0, .more = {}};
  std::int64_t tokens = 0;
  for (ScoreRequest& request : requests) {
    tokens += static_cast<std::int64_t>(request.tokens.size()) - request.first;
    plan.requests.push_back(std::move(request));
  }
  plan.scored_tokens += tokens;
  unit.weight = static_cast<double>(tokens);
  unit.more["tokens"] = unit.weight;
  plan.units.push_back(std::move(unit));
}

ProtocolPlan plan_windows(const Protocol& protocol, const Corpus& corpus, const Tokenizer& tokenizer,
                          std::int64_t limit) {
  const bool llama_cpp = protocol.kind == Protocol::Kind::kLlamaCpp;
  const std::vector<TokenId> ids =
      tokenizer.encode(corpus.joined(), {.add_special = true, .parse_special = !llama_cpp});
  ProtocolPlan plan;
  plan.text_tokens = static_cast<std::int64_t>(ids.size());
  plan.text_bytes = corpus.bytes();
  // llama.cpp refuses a text of fewer than two windows.
  const std::int64_t needed = protocol.length * (llama_cpp ? 2 : 1);
  if (plan.text_tokens < needed) {
    fail(ErrorCode::kData, "perplexity: split '{}' of dataset '{}' has {} tokens, protocol '{}' needs at least {}",
         corpus.split, corpus.dataset, plan.text_tokens, protocol.name, needed);
  }
  const std::int64_t windows = plan.text_tokens / protocol.length;
  for (std::int64_t w = 0; w < (limit > 0 ? std::min(limit, windows) : windows); ++w) {
    const auto begin = ids.begin() + w * protocol.length;
    ScoreRequest request{.tokens = {begin, begin + protocol.length}, .first = 1};
    if (llama_cpp) {
      request.first = protocol.length / 2 + 1;
      if (tokenizer.adds_bos()) request.tokens.front() = tokenizer.bos().value();
    }
    request.prefill = protocol.prefill;
    if (protocol.prefill > 0) request.first = std::max(request.first, protocol.prefill + 1);
    if (request.first >= protocol.length) {
      fail(ErrorCode::kConfig, "perplexity: protocol '{}' scores no token of such short windows", protocol.name);
    }
    add_unit(plan, fmt::format("window {}", w), {std::move(request)});
  }
  return plan;
}

ProtocolPlan plan_documents(const Protocol& protocol, const Corpus& corpus, const Tokenizer& tokenizer,
                            std::int64_t limit, std::int64_t context) {
  const std::optional<TokenId> prefix = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
  if (!prefix) {
    fail(ErrorCode::kUnsupported, "perplexity: protocol '{}' puts BOS or EOS before a text, the tokenizer has neither",
         protocol.name);
  }
  // Without a model, as if a document were read at once: the overlap of last windows is then not counted.
  const std::int64_t length = protocol.length > 0 ? protocol.length : context > 0 ? context : kMaxLength;
  ProtocolPlan plan;
  plan.text_bytes = corpus.bytes();
  for (std::size_t i = 0; i < corpus.documents.size(); ++i) {
    if (limit > 0 && static_cast<std::int64_t>(plan.units.size()) >= limit) break;
    const std::string& document = corpus.documents[i];
    const std::vector<TokenId> ids = tokenizer.encode(protocol.detokenize ? detokenize_wikitext(document) : document,
                                                      {.add_special = false, .parse_special = true});
    plan.text_tokens += static_cast<std::int64_t>(ids.size());
    if (ids.empty()) continue;
    add_unit(plan, fmt::format("document {}", i), rolling_windows(ids, *prefix, length));
    plan.units.back().weight = static_cast<double>(count_words(document));
    plan.units.back().more["words"] = plan.units.back().weight;
    plan.units.back().more["bytes"] = static_cast<double>(document.size());
  }
  if (plan.units.empty()) {
    fail(ErrorCode::kData, "perplexity: split '{}' of dataset '{}' has no document with a token", corpus.split,
         corpus.dataset);
  }
  return plan;
}

}  // namespace

std::optional<Protocol> parse_protocol(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.prefix)) continue;
    const std::optional<std::int64_t> length = parse_length(name.substr(family.prefix.size()));
    if (!length || (family.needs_length && *length == 0)) continue;
    return Protocol{.name = std::string(name), .kind = family.kind, .length = *length, .detokenize = family.detokenize};
  }
  return std::nullopt;
}

std::string known_protocols() {
  return "'gptq-<length>', 'llama.cpp-<length>', 'lm-eval', 'lm-eval-<length>', 'lm-eval-wikitext', "
         "'lm-eval-wikitext-<length>', with a length from 2";
}

Protocol with_prefill(Protocol protocol, std::int64_t prefill) {
  if (prefill == 0) return protocol;
  protocol.prefill = prefill;
  protocol.name += fmt::format(" prefill-{}", prefill);
  return protocol;
}

std::int64_t ProtocolPlan::read_tokens() const {
  std::int64_t total = 0;
  for (const ScoreRequest& request : requests) total += static_cast<std::int64_t>(request.tokens.size()) - 1;
  return total;
}

ProtocolPlan plan_protocol(const Protocol& protocol, const Corpus& corpus, const Tokenizer& tokenizer,
                           std::int64_t limit, std::int64_t context) {
  check_window(protocol, context);
  if (protocol.kind == Protocol::Kind::kLmEval) return plan_documents(protocol, corpus, tokenizer, limit, context);
  return plan_windows(protocol, corpus, tokenizer, limit);
}

std::vector<ScoreRequest> rolling_windows(const std::vector<TokenId>& ids, TokenId prefix, std::int64_t length) {
  const auto count = static_cast<std::int64_t>(ids.size());
  std::vector<ScoreRequest> requests;
  std::int64_t done = std::min(length, count);
  ScoreRequest first{.tokens = {prefix}, .first = 1};
  first.tokens.insert(first.tokens.end(), ids.begin(), ids.begin() + done);
  requests.push_back(std::move(first));
  while (done < count) {
    const std::int64_t fresh = std::min(length, count - done);
    const std::int64_t end = done + fresh;
    requests.push_back({.tokens = {ids.begin() + (end - length - 1), ids.begin() + end}, .first = length + 1 - fresh});
    done = end;
  }
  return requests;
}

void check_window(const Protocol& protocol, std::int64_t context) {
  if (context > 0 && protocol.length > context) {
    fail(ErrorCode::kConfig, "perplexity: protocol '{}' reads {} tokens at once, the model's context is {}",
         protocol.name, protocol.length, context);
  }
}

}  // namespace lowbit
