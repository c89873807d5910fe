#pragma once

#include <string>
#include <string_view>

#include "kernels/kernel.h"
#include "lowbit/kernels/api.h"

namespace lowbit::kernels {

/// The kernels of one kind of processor. A backend has a kernel for every pair of weight and arithmetic that is legal.
struct Backend {
  std::string_view name;
  /// Empty, or what the processor or this build lacks: "the processor lacks AVX2".
  std::string (*missing)();
  /// Never null.
  const Kernel* (*select)(Arithmetic arithmetic, int packed_bits, std::int64_t tokens);
};

/// Empty, or what the processor lacks for the kernels of AVX2, or of AVX-512 VNNI.
[[nodiscard]] std::string missing_for_avx2();
[[nodiscard]] std::string missing_for_avx512();

/// From the slowest to the fastest.
[[nodiscard]] std::span<const Backend> all_backends();

/// `name`, else LOWBIT_KERNELS, else the fastest usable one. Throws as `multiply` does. `reason` may be null.
[[nodiscard]] const Backend& choose_backend(std::string_view name, std::string* reason);

/// Throws `kUnsupported` when no kernel computes this.
void check_arithmetic(const PackedWeight& weight, Arithmetic arithmetic);

/// `product` on one backend, its kernels taken as they are: what the self-check calls.
void multiply_on(const Backend& backend, const Product& product);

/// Empty, or the first product whose bits are not the reference's.
[[nodiscard]] std::string self_check(const Backend& backend);

[[nodiscard]] const Kernel* select_reference(Arithmetic arithmetic, int packed_bits, std::int64_t tokens);

}  // namespace lowbit::kernels
