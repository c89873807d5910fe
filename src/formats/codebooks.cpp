#include "lowbit/formats/codebooks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "lowbit/base/error.h"
#include "lowbit/config/node.h"

namespace lowbit {
namespace {

// Dettmers et al., "QLoRA", 2023, appendix E: quantiles of the normal distribution scaled to [-1, 1], 0 exact.
constexpr std::array<float, 16> kNf4 = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};
constexpr std::array<float, 4> kTernary = {0.0F, 1.0F, std::numeric_limits<float>::quiet_NaN(), -1.0F};

// bitsandbytes' FP4 by code, in twelfths.
std::array<float, 16> make_fp4() {
  constexpr std::array<float, 8> kTwelfths = {0.0F, 0.0625F, 8.0F, 12.0F, 4.0F, 6.0F, 2.0F, 3.0F};
  std::array<float, 16> table{};
  for (std::size_t code = 0; code < 16; ++code) {
    const float magnitude = kTwelfths[code % 8] / 12.0F;
    table[code] = code < 8 ? magnitude : -magnitude;
  }
  return table;
}

// What the codes with all exponent bits set stand for.
enum class Special {
  kNone,      // numbers like all others (OCP FP4, FP6)
  kNan,       // NaN where the significand's bits are all set too (E4M3)
  kInfinity,  // infinities and NaN, as in IEEE 754 (E5M2)
};

// OCP Microscaling formats 1.0 and OCP FP8: sign, exponent of bias 2^(e-1) - 1, significand; subnormals at exponent 0.
std::vector<float> make_float_table(int exponent_bits, int significand_bits, Special special) {
  const int half = 1 << (exponent_bits + significand_bits);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  std::vector<float> table(static_cast<std::size_t>(2 * half));
  for (int code = 0; code < half; ++code) {
    const int exponent = code >> significand_bits;
    const int fraction = code & ((1 << significand_bits) - 1);
    const int integer = exponent == 0 ? fraction : fraction + (1 << significand_bits);
    float magnitude = std::ldexp(static_cast<float>(integer), std::max(exponent, 1) - bias - significand_bits);
    const bool last = exponent == (1 << exponent_bits) - 1;
    if ((special == Special::kNan && code == half - 1) || (special == Special::kInfinity && last)) {
      magnitude = std::numeric_limits<float>::quiet_NaN();
    }
    const auto place = static_cast<std::size_t>(code);
    table[place] = magnitude;
    table[static_cast<std::size_t>(half) + place] = -magnitude;
  }
  return table;
}

std::vector<float> make_int8_table() {
  std::vector<float> table;
  for (int code = 0; code < 256; ++code) table.push_back(static_cast<float>(code < 128 ? code : code - 256) / 64.0F);
  return table;
}

Codebook make_codebook(std::string_view name, int bits, std::span<const float> table, bool ties_to_even,
                       int significand_bits = 0) {
  Codebook codebook{name, bits, table, ties_to_even, 0.0F, significand_bits, {}};
  float greatest = 0.0F;
  float least = 0.0F;
  for (std::size_t code = 0; code < table.size(); ++code) {
    if (std::isnan(table[code])) continue;
    greatest = std::max(greatest, table[code]);
    least = std::min(least, table[code]);
    codebook.ascending.push_back(static_cast<std::uint8_t>(code));
  }
  codebook.largest = std::min(greatest, -least);
  auto& order = codebook.ascending;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return table[a] < table[b]; });
  order.erase(std::unique(order.begin(), order.end(), [&](auto a, auto b) { return table[a] == table[b]; }),
              order.end());
  return codebook;
}

const std::vector<Codebook>& codebooks() {
  static const std::array<float, 16> fp4 = make_fp4();
  static const std::vector<float> e2m1 = make_float_table(2, 1, Special::kNone);
  static const std::vector<float> e2m3 = make_float_table(2, 3, Special::kNone);
  static const std::vector<float> e3m2 = make_float_table(3, 2, Special::kNone);
  static const std::vector<float> e4m3 = make_float_table(4, 3, Special::kNan);
  static const std::vector<float> e5m2 = make_float_table(5, 2, Special::kInfinity);
  static const std::vector<float> int8 = make_int8_table();
  static const std::vector<Codebook> all = {
      make_codebook("nf4", 4, kNf4, false),        make_codebook("fp4", 4, fp4, false),
      make_codebook("e2m1", 4, e2m1, true, 1),     make_codebook("e2m3", 6, e2m3, true, 3),
      make_codebook("e3m2", 6, e3m2, true, 2),     make_codebook("e4m3", 8, e4m3, true, 3),
      make_codebook("e5m2", 8, e5m2, true, 2),     make_codebook("int8", 8, int8, true, 6),
      make_codebook("ternary", 2, kTernary, true),
  };
  return all;
}

}  // namespace

std::vector<std::string> codebook_names() {
  std::vector<std::string> names;
  for (const Codebook& codebook : codebooks()) names.emplace_back(codebook.name);
  return names;
}

const Codebook& find_codebook(std::string_view name) {
  for (const Codebook& codebook : codebooks()) {
    if (codebook.name == name) return codebook;
  }
  fail(ErrorCode::kConfig, "unknown codebook '{}'{}", name, suggestion(name, codebook_names()));
}

std::uint8_t nearest_code(const Codebook& codebook, float value) {
  const auto& order = codebook.ascending;
  const auto above = std::lower_bound(order.begin(), order.end(), value,
                                      [&](std::uint8_t code, float x) { return codebook.table[code] < x; });
  if (above == order.begin()) return order.front();
  if (above == order.end()) return order.back();
  const std::uint8_t low = *(above - 1);
  const std::uint8_t high = *above;
  // In double, where the differences of a float and a table entry near it are exact and a tie is seen as one.
  const double to_low = static_cast<double>(value) - static_cast<double>(codebook.table[low]);
  const double to_high = static_cast<double>(codebook.table[high]) - static_cast<double>(value);
  if (to_low != to_high) return to_low < to_high ? low : high;
  return codebook.ties_to_even && high % 2 == 0 && low % 2 == 1 ? high : low;
}

}  // namespace lowbit
