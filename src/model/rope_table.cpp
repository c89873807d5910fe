#include <cmath>

#include "lowbit/model/block.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {

// As the reference implementation does, frequencies and angles are float32; sine and cosine are exact to float32.
RopeTable make_rope_table(const Architecture& architecture, std::int64_t length) {
  const RopeFrequencies frequencies = rope_frequencies(architecture, length);
  const auto pairs = static_cast<std::int64_t>(frequencies.inverse.size());
  RopeTable table{make_empty({length, 2 * pairs}, DType::kFloat32), make_empty({length, 2 * pairs}, DType::kFloat32)};
  const std::span<float> cos = mutable_values_of<float>(table.cos);
  const std::span<float> sin = mutable_values_of<float>(table.sin);
  parallel_for(length, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t position = begin; position < end; ++position) {
      for (std::int64_t i = 0; i < pairs; ++i) {
        const float inverse = static_cast<float>(frequencies.inverse[static_cast<std::size_t>(i)]);
        const double angle = static_cast<double>(static_cast<float>(position) * inverse);
        const auto first = static_cast<std::size_t>(position * 2 * pairs + i);
        const auto second = first + static_cast<std::size_t>(pairs);
        cos[first] = cos[second] = static_cast<float>(std::cos(angle) * frequencies.attention_factor);
        sin[first] = sin[second] = static_cast<float>(std::sin(angle) * frequencies.attention_factor);
      }
    }
  });
  return table;
}

}  // namespace lowbit
