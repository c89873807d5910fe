#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "text/vocabulary.h"

namespace lowbit {

/// The ids of words that were coded before. Bounded; not safe from several threads.
class WordCache {
 public:
  /// Appends the ids of `word`, by `code(word, ids)` when it is new.
  template <typename Code>
  void append(std::string_view word, std::vector<TokenId>& ids, const Code& code) {
    if (word.size() > kMaxWordBytes) return code(word, ids);
    const auto found = words_.find(word);
    if (found != words_.end()) {
      const auto begin = ids_.begin() + found->second.first;
      ids.insert(ids.end(), begin, begin + found->second.second);
      return;
    }
    const std::size_t before = ids.size();
    code(word, ids);
    if (words_.size() >= kMaxWords) return;
    const auto count = static_cast<std::ptrdiff_t>(ids.size() - before);
    words_.emplace(word, std::pair{static_cast<std::ptrdiff_t>(ids_.size()), count});
    ids_.insert(ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end());
  }

 private:
  static constexpr std::size_t kMaxWordBytes = 64;
  static constexpr std::size_t kMaxWords = std::size_t{1} << 18;  // about 30 MiB when full

  StringMap<std::pair<std::ptrdiff_t, std::ptrdiff_t>> words_;  // -> where in `ids_`, how many
  std::vector<TokenId> ids_;
};

}  // namespace lowbit
