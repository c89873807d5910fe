#include "lowbit/base/random.h"

#include <cmath>
#include <numbers>

#include "base/philox.h"
#include "lowbit/base/error.h"
#include "lowbit/base/hash.h"

namespace lowbit {
namespace {

std::uint64_t join(std::uint32_t high, std::uint32_t low) { return (static_cast<std::uint64_t>(high) << 32) | low; }

}  // namespace

Random::Random(std::uint64_t seed, std::string_view stream) : seed_(seed), stream_(hash_of(stream).low) {}

// The counter words hold (counter, stream); the key holds the seed mixed with the lane, which numbers retries.
std::array<std::uint32_t, 4> Random::block(std::uint64_t counter, std::uint64_t lane) const {
  const std::uint64_t key = seed_ + lane * 0x9E3779B97F4A7C15ULL;
  return philox4x32_10({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                        static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                       {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
}

std::uint64_t Random::bits(std::uint64_t counter) const {
  const auto words = block(counter, 0);
  return join(words[0], words[1]);
}

double Random::uniform(std::uint64_t counter) const { return static_cast<double>(bits(counter) >> 11) * 0x1.0p-53; }

double Random::normal(std::uint64_t counter) const {
  const auto words = block(counter, 0);
  // (0, 1] for the logarithm, [0, 1) for the angle.
  const double u = (static_cast<double>(join(words[0], words[1]) >> 11) + 1.0) * 0x1.0p-53;
  const double v = static_cast<double>(join(words[2], words[3]) >> 11) * 0x1.0p-53;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

std::uint64_t Random::below(std::uint64_t counter, std::uint64_t bound) const {
  LOWBIT_ASSERT(bound > 0);
  const std::uint64_t rejected = (0 - bound) % bound;  // 2^64 mod bound: draws below it would favour small numbers
  for (std::uint64_t lane = 0;; ++lane) {
    const auto words = block(counter, lane);
    const std::uint64_t draw = join(words[0], words[1]);
    if (draw >= rejected) return draw % bound;
  }
}

Random Random::child(std::string_view name) const {
  Random result = *this;
  result.stream_ = Hasher().add(stream_).add(name).finish().low;
  return result;
}

}  // namespace lowbit
