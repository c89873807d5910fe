#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/data/dataset.h"
#include "lowbit/evaluation/scorer.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// How a text becomes scored tokens. A perplexity means nothing without it.
struct Protocol {
  enum class Kind {
    /// Frantar et al. (GPTQ): documents joined and tokenized once; windows of `length` tokens one behind the other, the
    /// last partial one dropped; in each the tokens 1 .. length-1 are scored; the mean of the windows' means.
    kGptq,
    /// llama.cpp's perplexity tool: the same windows, the first token of each replaced by BOS if the model's tokenizer
    /// adds one, tokens length/2 + 1 .. length-1 scored; special tokens written in the text are plain characters.
    kLlamaCpp,
    /// EleutherAI's harness: each document by itself behind BOS (or EOS), every token scored once in windows that read
    /// `length` tokens, perplexity per word and byte of the document.
    kLmEval,
  };
  std::string name;
  Kind kind = Kind::kGptq;
  std::int64_t length = 0;  ///< tokens that a window reads; 0 (kLmEval only): the model's context
  bool detokenize = false;  ///< undo WikiText's tokenization before scoring; words and bytes stay the original's
  /// Of windows (kGptq, kLlamaCpp): so many tokens are read at once, the others one at a time from the cache, and only
  /// tokens that were predicted so are scored. 0: the window is read at once.
  std::int64_t prefill = 0;
};

/// Nothing for an unknown name.
[[nodiscard]] std::optional<Protocol> parse_protocol(std::string_view name);
/// "'gptq-<length>', ...", for messages.
[[nodiscard]] std::string known_protocols();

/// What is one item of the result: a window or a document.
struct ScoredUnit {
  std::string id;                 ///< "window 17"
  std::size_t first_request = 0;  ///< its requests, one behind the other
  std::size_t requests = 0;
  double weight = 0;                   ///< what its likelihood is divided by: scored tokens, or words
  std::map<std::string, double> more;  ///< "tokens", "words", "bytes"
};

struct ProtocolPlan {
  std::vector<ScoreRequest> requests;
  std::vector<ScoredUnit> units;
  std::int64_t text_tokens = 0;  ///< of the whole split
  std::uint64_t text_bytes = 0;
  std::int64_t scored_tokens = 0;
  [[nodiscard]] std::int64_t read_tokens() const;
};

/// At most `limit` units (0: all). `context` is the model's, or 0 where only the number of tokens matters. Throws
/// `kData` when the text is too short, `kConfig` when windows exceed the context, `kUnsupported` without BOS and EOS.
[[nodiscard]] ProtocolPlan plan_protocol(const Protocol& protocol, const Corpus& corpus, const Tokenizer& tokenizer,
                                         std::int64_t limit, std::int64_t context);

/// The requests that score every token of `ids` once: the first window is read behind `prefix`, each further one behind
/// the token before it, and the last is extended to the left so that it reads `length` tokens too.
[[nodiscard]] std::vector<ScoreRequest> rolling_windows(const std::vector<TokenId>& ids, TokenId prefix,
                                                        std::int64_t length);

/// The same protocol behind a prefill, which its name then says.
[[nodiscard]] Protocol with_prefill(Protocol protocol, std::int64_t prefill);

/// Throws `kConfig` when a window is longer than the model's context (0: unknown).
void check_window(const Protocol& protocol, std::int64_t context);

}  // namespace lowbit
