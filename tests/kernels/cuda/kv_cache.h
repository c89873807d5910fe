#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "../guarded.h"
#include "emulator.h"
#include "kernels/cuda/attention_dispatch.h"
#include "kernels/cuda/kv_round.h"
#include "lowbit/base/random.h"

// Caches of codes in memory that ends where they end, filled by the kernels or by the definition of rounding.
namespace lowbit::kernels::cuda::testing {

using kernels::testing::Guarded;

struct Form {
  int bits;
  int group;
  bool of_tokens;
  bool symmetric = false;
  ScaleKind scales = ScaleKind::kFloat16;
};

struct Places {
  int sequences = 2;
  int heads = 2;
  int channels = 64;
  int capacity = 64;
  [[nodiscard]] int rows() const { return sequences * heads; }
};

inline std::vector<float> normal_numbers(std::size_t count, std::string_view name) {
  const Random random(9, name);
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(random.normal(i));
  return numbers;
}

template <typename T>
struct Ending : Guarded<T> {
  explicit Ending(std::size_t count) : Guarded<T>(count, Guarded<T>::Side::kEnd) {}
};

// Launches on the model of a GPU, whose threads and blocks take turns by the seed.
struct Seeded {
  std::uint64_t seed;
  template <typename Kernel, typename Call>
  bool launch(const AttentionGrid& size, const Call& call) const {
    const Grid grid = {{size.blocks[0], size.blocks[1], size.blocks[2]}, Kernel::kThreads, size.shared_bytes};
    testing::launch(grid, seed, [&](EmulatedThread& thread) { Kernel::run(thread, call); });
    return true;
  }
};

// A cache whose memory ends where nobody may read, filled by the kernel.
class Cache {
 public:
  Cache(const Form& form, const Places& places, const std::vector<float>& recent)
      : places_(places),
        words_(static_cast<std::size_t>(places.rows() * places.capacity * places.channels * form.bits / 32)),
        scales_(scale_count(form, places)),
        minima_(scale_count(form, places)),
        recent_(recent.size()) {
    recent_.assign(recent.data());
    store_ = {words_.data(),
              scales_.data(),
              form.symmetric ? nullptr : minima_.data(),
              recent_.data(),
              NumberKind::kFloat32,
              form.scales,
              form.bits,
              places.heads,
              places.channels,
              form.group,
              form.of_tokens ? 1 : 0,
              places.capacity,
              static_cast<int>(recent.size()) / (places.rows() * places.channels),
              0};
  }

  // Numbers of 16 bits must be what these are; the kernels for any sizes take a copy that begins on 4 bytes.
  void append(const std::vector<float>& numbers, std::uint64_t seed, NumberKind kind = NumberKind::kFloat32,
              bool moved = false) {
    std::vector<std::uint16_t> halves(numbers.size() + 2);
    Ending<float> wide(numbers.size() + (moved ? 1 : 0));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      wide.data()[i] = numbers[i];
      halves[i] = kind == NumberKind::kFloat16 ? float_to_half(numbers[i]) : float_to_bfloat16(numbers[i]);
    }
    const void* input =
        kind == NumberKind::kFloat32 ? static_cast<const void*>(wide.data()) : static_cast<const void*>(halves.data());
    const int tokens = static_cast<int>(numbers.size()) / (places_.rows() * places_.channels);
    const KvRoundCall call = {store_, input, kind, places_.sequences, tokens, store_.rounded};
    Seeded launcher{seed};
    dispatch_kv_round(call, launcher);
    store_.rounded += tokens;
  }
  [[nodiscard]] const KvStore& store() const { return store_; }

 private:
  // Numbers of 16 bits take half of it.
  static std::size_t scale_count(const Form& form, const Places& places) {
    const int groups = form.of_tokens ? places.capacity / form.group * places.channels
                                      : places.capacity * ((places.channels + form.group - 1) / form.group);
    const int count = places.rows() * groups;
    return static_cast<std::size_t>(form.scales == ScaleKind::kFloat32 ? count : (count + 1) / 2);
  }

  Places places_;
  Ending<std::uint32_t> words_;
  Ending<std::uint32_t> scales_;
  Ending<std::uint32_t> minima_;
  Ending<float> recent_;
  KvStore store_{};
};

inline float kept(float value, ScaleKind kind) {
  switch (kind) {
    case ScaleKind::kFloat16: return half_to_float(float_to_half(value));
    case ScaleKind::kBFloat16: return bfloat16_to_float(float_to_bfloat16(value));
    case ScaleKind::kFloat32: break;
  }
  return value;
}

// What rounding makes of the numbers that share a scale, by the definition.
inline std::vector<float> rounded(const std::vector<float>& numbers, const Form& form) {
  const auto [least, largest] = std::minmax_element(numbers.begin(), numbers.end());
  const float top = static_cast<float>((1 << form.bits) - 1);
  const float middle = form.symmetric ? static_cast<float>(1 << (form.bits - 1)) : 0.0F;
  const float minimum = form.symmetric ? 0.0F : kept(*least, form.scales);
  const float span = form.symmetric ? std::max(-*least, *largest) : *largest - minimum;
  const float scale = kept(std::max(span, 0.0F) / (form.symmetric ? middle - 1.0F : top), form.scales);
  std::vector<float> result;
  for (const float x : numbers) {
    const float steps = scale > 0.0F ? (x - minimum) / scale : 0.0F;
    const float code = std::clamp(std::nearbyint(steps) + middle, 0.0F, top);
    result.push_back(code * scale + (form.symmetric ? -middle * scale : minimum));
  }
  return result;
}

// [rows][tokens][channels], in groups.
inline std::vector<float> all_rounded(const std::vector<float>& numbers, const Form& form, const Places& places) {
  std::vector<float> result(numbers.size());
  const int tokens = static_cast<int>(numbers.size()) / (places.rows() * places.channels);
  for (int row = 0; row < places.rows(); ++row) {
    for (int t = 0; t < tokens; t += form.of_tokens ? form.group : 1) {
      for (int c = 0; c < places.channels; c += form.of_tokens ? 1 : form.group) {
        std::vector<std::size_t> members;
        for (int i = 0; i < form.group; ++i) {
          if (!form.of_tokens && c + i >= places.channels) break;
          const int token = form.of_tokens ? t + i : t;
          const int channel = form.of_tokens ? c : c + i;
          members.push_back(static_cast<std::size_t>((row * tokens + token) * places.channels + channel));
        }
        std::vector<float> values;
        for (const std::size_t at : members) values.push_back(numbers[at]);
        values = rounded(values, form);
        for (std::size_t i = 0; i < members.size(); ++i) result[members[i]] = values[i];
      }
    }
  }
  return result;
}

inline std::size_t count_of(const Places& places, int tokens) {
  return static_cast<std::size_t>(places.rows() * tokens * places.channels);
}

}  // namespace lowbit::kernels::cuda::testing
