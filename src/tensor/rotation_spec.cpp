// What a rotation is, apart from tensors: its orders, its names and what can be wrong with it.
#include <fmt/format.h>

#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/rotation.h"
#include "tensor/hadamard.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLargestCore = 512;
constexpr std::pair<RotationCore, std::string_view> kNames[] = {{RotationCore::kNone, "none"},
                                                                {RotationCore::kPaley1, "paley1"},
                                                                {RotationCore::kPaley2, "paley2"},
                                                                {RotationCore::kOrthonormal, "orthonormal"}};

bool is_power_of_two(std::int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

}  // namespace

RotationSpec rotation_for(std::int64_t n, std::uint64_t seed, bool random_signs) {
  LOWBIT_ASSERT(n > 0);
  std::int64_t odd = n;
  while (odd % 2 == 0) odd /= 2;
  if (odd == 1) return {RotationCore::kNone, 1, seed, random_signs};
  for (std::int64_t order = 4 * odd; n % order == 0 && order <= kLargestCore; order *= 2) {
    const RotationCore core = paley_construction(order);
    if (core != RotationCore::kNone) return {core, order, seed, random_signs};
  }
  if (odd > kLargestCore) {
    fail(ErrorCode::kUnsupported, "no rotation of order {}: its odd part {} is beyond {}", n, odd, kLargestCore);
  }
  return {RotationCore::kOrthonormal, odd, seed, random_signs};
}

std::string rotation_problem(const RotationSpec& spec, std::int64_t n) {
  if (spec.core_order < 1 || spec.core_order > kLargestCore) {
    return fmt::format("a core of order {}, expected 1 to {}", spec.core_order, kLargestCore);
  }
  if (n % spec.core_order != 0 || !is_power_of_two(n / spec.core_order)) {
    return fmt::format("a core of order {} times no power of two is {}", spec.core_order, n);
  }
  const bool exists = spec.core == RotationCore::kNone          ? spec.core_order == 1
                      : spec.core == RotationCore::kOrthonormal ? true
                                                                : paley_construction(spec.core_order) == spec.core;
  if (exists) return "";
  return fmt::format("a core '{}' of order {}, which does not exist", rotation_core_name(spec.core), spec.core_order);
}

std::string rotation_text(const RotationSpec& spec, std::int64_t n) {
  const std::string signs = spec.random_signs ? fmt::format(", signs of seed {}", spec.seed) : "";
  const std::int64_t power = n / spec.core_order;
  switch (spec.core) {
    case RotationCore::kNone: return fmt::format("Hadamard {}{}", n, signs);
    case RotationCore::kOrthonormal:
      return fmt::format("orthonormal {} (seed {}) x {}{}", spec.core_order, spec.seed, power, signs);
    default: break;
  }
  return fmt::format("Hadamard {} (Paley {}) x {}{}", spec.core_order, spec.core == RotationCore::kPaley1 ? "I" : "II",
                     power, signs);
}

std::string_view rotation_core_name(RotationCore core) {
  for (const auto& [known, name] : kNames) {
    if (known == core) return name;
  }
  fail(ErrorCode::kInternal, "unknown rotation core {}", static_cast<int>(core));
}

std::optional<RotationCore> rotation_core_named(std::string_view name) {
  for (const auto& [core, known] : kNames) {
    if (known == name) return core;
  }
  return std::nullopt;
}

}  // namespace lowbit
