#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace lowbit {

/// Python's `random.Random(seed).sample(range(population), count)`, draw for draw, since the field's few-shot prompts
/// are made with it: the Mersenne twister MT19937 (Matsumoto and Nishimura 1998) seeded by `init_by_array`, whole
/// numbers below a bound by rejection of their leading bits.
class PythonRandom {
 public:
  explicit PythonRandom(std::uint64_t seed);
  [[nodiscard]] std::vector<std::size_t> sample(std::size_t population, std::size_t count);

 private:
  std::size_t below(std::size_t bound);
  std::mt19937 twister_;
};

}  // namespace lowbit
