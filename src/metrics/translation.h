#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// How BLEU cuts a text into words: as mteval-v13a does, or a Chinese character a word and the rest so.
enum class BleuWords { k13a, kChinese };
[[nodiscard]] std::vector<std::string> bleu_words(std::string_view text, BleuWords words = BleuWords::k13a);

/// What BLEU (Papineni et al. 2002) counts of one text; counts of several add up.
struct BleuCounts {
  std::array<std::int64_t, 4> common{};  ///< runs of 1 to 4 words that a reference has, each as often as it has it
  std::array<std::int64_t, 4> total{};
  std::int64_t words = 0;
  std::int64_t reference_words = 0;  ///< of the reference whose length is nearest
  BleuCounts& operator+=(const BleuCounts& other);
  BleuCounts& operator-=(const BleuCounts& other);
};
[[nodiscard]] BleuCounts bleu_counts(std::string_view text, std::span<const std::string> references,
                                     BleuWords words = BleuWords::k13a);
/// 0..100, with exponential smoothing of orders without a match, as sacrebleu computes it by default.
[[nodiscard]] double bleu(const BleuCounts& counts);

/// What chrF (Popović 2015) counts of one text against its best reference; counts of several add up.
struct ChrfCounts {
  static constexpr std::size_t kOrder = 6;
  std::array<std::int64_t, kOrder> own{}, reference{}, common{};  ///< runs of 1 to 6 characters, white space left out
  ChrfCounts& operator+=(const ChrfCounts& other);
  ChrfCounts& operator-=(const ChrfCounts& other);
};
[[nodiscard]] ChrfCounts chrf_counts(std::string_view text, std::span<const std::string> references);
/// 0..100, with beta 2, as sacrebleu computes it by default.
[[nodiscard]] double chrf(const ChrfCounts& counts);

}  // namespace lowbit
