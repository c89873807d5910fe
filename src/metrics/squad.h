#pragma once

#include <string>
#include <string_view>

namespace lowbit {

/// Lower case, without the punctuation of ASCII and the articles a, an, the; single blanks (Rajpurkar et al. 2018).
[[nodiscard]] std::string squad_normal(std::string_view text);
/// 1 when both are the same once normalised, else 0.
[[nodiscard]] double squad_exact_match(std::string_view answer, std::string_view reference);
/// F1 of the bags of words; of two empty ones 1, of one empty one 0.
[[nodiscard]] double squad_f1(std::string_view answer, std::string_view reference);

}  // namespace lowbit
