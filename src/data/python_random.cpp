#include "data/python_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "lowbit/base/error.h"

namespace lowbit {

PythonRandom::PythonRandom(std::uint64_t seed) {
  std::vector<std::uint32_t> key = {static_cast<std::uint32_t>(seed)};
  if (seed >> 32 != 0) key.push_back(static_cast<std::uint32_t>(seed >> 32));
  state_[0] = 19650218U;
  for (std::uint32_t i = 1; i < kLength; ++i) {
    state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
  std::size_t i = 1;
  const auto step = [&](std::uint32_t factor) {
    state_[i] ^= (state_[i - 1] ^ (state_[i - 1] >> 30)) * factor;
    return &state_[i];
  };
  const auto advance = [&] {
    if (++i < kLength) return;
    state_[0] = state_[kLength - 1];
    i = 1;
  };
  for (std::size_t k = 0; k < std::max(kLength, key.size()); ++k) {
    const std::size_t j = k % key.size();
    *step(1664525U) += key[j] + static_cast<std::uint32_t>(j);
    advance();
  }
  for (std::size_t k = 1; k < kLength; ++k) {
    *step(1566083941U) -= static_cast<std::uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000U;
}

std::uint32_t PythonRandom::next() {
  if (at_ == kLength) {
    for (std::size_t i = 0; i < kLength; ++i) {
      const std::uint32_t y = (state_[i] & 0x80000000U) | (state_[(i + 1) % kLength] & 0x7FFFFFFFU);
      state_[i] = state_[(i + 397) % kLength] ^ (y >> 1) ^ ((y & 1U) != 0 ? 0x9908B0DFU : 0U);
    }
    at_ = 0;
  }
  std::uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680U;
  y ^= (y << 15) & 0xEFC60000U;
  return y ^ (y >> 18);
}

std::size_t PythonRandom::below(std::size_t bound) {
  const int bits = std::bit_width(bound);
  LOWBIT_ASSERT(bound > 0 && bits <= 32);
  while (true) {
    const std::size_t value = next() >> (32 - bits);
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
