#include "data/python_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "lowbit/base/error.h"

namespace lowbit {

namespace {

/// `init_by_array` of the twister's authors, as a seed sequence: what it generates is the engine's whole state.
class KeySequence {
 public:
  using result_type = std::uint32_t;  // NOLINT(readability-identifier-naming): the standard library's name

  explicit KeySequence(std::uint64_t seed) : key_{static_cast<std::uint32_t>(seed)} {
    if (seed >> 32 != 0) key_.push_back(static_cast<std::uint32_t>(seed >> 32));
  }

  template <typename Iterator>
  void generate(Iterator state, Iterator end) const {
    const auto length = static_cast<std::size_t>(end - state);
    state[0] = 19650218U;
    for (std::size_t i = 1; i < length; ++i) {
      state[i] = 1812433253U * (state[i - 1] ^ (state[i - 1] >> 30)) + static_cast<std::uint32_t>(i);
    }
    std::size_t i = 1;
    const auto step = [&](std::uint32_t factor, std::uint32_t addend) {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * factor)) + addend;
      if (++i < length) return;
      state[0] = state[length - 1];
      i = 1;
    };
    for (std::size_t k = 0; k < std::max(length, key_.size()); ++k) {
      const std::size_t j = k % key_.size();
      step(1664525U, key_[j] + static_cast<std::uint32_t>(j));
    }
    for (std::size_t k = 1; k < length; ++k) step(1566083941U, 0U - static_cast<std::uint32_t>(i));
    state[0] = 0x80000000U;
  }

 private:
  std::vector<std::uint32_t> key_;
};

std::mt19937 seeded(std::uint64_t seed) {
  KeySequence sequence(seed);
  return std::mt19937(sequence);
}

}  // namespace

PythonRandom::PythonRandom(std::uint64_t seed) : twister_(seeded(seed)) {}

std::size_t PythonRandom::below(std::size_t bound) {
  const int bits = std::bit_width(bound);
  LOWBIT_ASSERT(bound > 0 && bits <= 32);
  while (true) {
    const std::size_t value = twister_() >> (32 - bits);
    if (value < bound) return value;
  }
}

std::vector<std::size_t> PythonRandom::sample(std::size_t population, std::size_t count) {
  LOWBIT_ASSERT(count <= population);
  std::vector<std::size_t> result(count);
  std::size_t set_size = 21;
  if (count > 5) {
    set_size +=
        static_cast<std::size_t>(std::pow(4, std::ceil(std::log(static_cast<double>(count * 3)) / std::log(4.0))));
  }
  if (population <= set_size) {
    std::vector<std::size_t> pool(population);
    std::iota(pool.begin(), pool.end(), std::size_t{0});
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t j = below(population - i);
      result[i] = pool[j];
      pool[j] = pool[population - i - 1];
    }
    return result;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto end = result.begin() + static_cast<std::ptrdiff_t>(i);
    do {
      result[i] = below(population);
    } while (std::find(result.begin(), end, result[i]) != end);
  }
  return result;
}

}  // namespace lowbit
