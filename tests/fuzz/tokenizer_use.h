#pragma once

#include <array>
#include <string_view>

#include "fuzz/fuzz.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit::fuzzing {

/// Encodes and decodes `text`; every id must be of the vocabulary.
inline void use_tokenizer(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, {special, special});
    for (const TokenId id : ids) {
      if (id < 0 || id >= tokenizer.size()) report(fmt::format("id {} of {} tokens", id, tokenizer.size()));
      (void)tokenizer.piece(id);
    }
    (void)tokenizer.decode(ids, special);
  }
}

/// A little of everything: words, digits, white space, characters of all lengths, marks, a special token.
inline void use_tokenizer(const Tokenizer& tokenizer) {
  constexpr std::array<std::string_view, 5> kTexts = {
      "", "Hello  world, it's 2026!\n\tabab",
      "\xC3\xA9t\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80 e\xCC\x81\xCC\x81", "<|end|> a<|end|>b <s></s>",
      std::string_view("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  \0 aa", 38)};
  for (const std::string_view text : kTexts) use_tokenizer(tokenizer, text);
  for (TokenId id = 0; id < std::min<std::int64_t>(tokenizer.size(), 512); ++id) {
    (void)tokenizer.is_special(id);
    const std::array<TokenId, 2> pair = {id, 0};
    (void)tokenizer.decode(pair);
  }
}

}  // namespace lowbit::fuzzing
