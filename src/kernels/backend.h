#pragma once

#include <string>
#include <string_view>
#include <vector>

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
  /// All its kernels for that, whichever is the fastest. Null: those of others are not to be compared with its own.
  std::vector<const Kernel*> (*alternatives)(Arithmetic arithmetic, int packed_bits, std::int64_t tokens) = nullptr;
};

/// Empty, or what the processor or the system lacks for the kernels of AVX2, of AVX-512 VNNI, or of AMX.
[[nodiscard]] std::string missing_for_avx2();
[[nodiscard]] std::string missing_for_avx512();
[[nodiscard]] std::string missing_for_amx();

/// From the slowest to the fastest.
[[nodiscard]] std::span<const Backend> all_backends();

/// Not lacking anything, and its self-check passed.
[[nodiscard]] bool is_usable(const Backend& backend);

/// Of backend `name`, else of LOWBIT_KERNELS, else the fastest that this machine has: by its table for
/// LOWBIT_CALIBRATION=off, and as measured otherwise. Throws as `multiply` does. `choice` may be null. The same in all
/// of a process's life.
[[nodiscard]] const Kernel& choose_kernel(std::string_view name, Arithmetic arithmetic, int packed_bits,
                                          std::int64_t tokens, Choice* choice);

/// Throws `kUnsupported` when no kernel computes this.
void check_arithmetic(const PackedWeight& weight, Arithmetic arithmetic);

/// `product` on one backend, its kernels taken as they are: what the self-check calls.
void multiply_on(const Backend& backend, const Product& product);
void multiply_with(const Kernel& kernel, const Product& product);

/// A workspace that is large enough for every kernel.
[[nodiscard]] std::size_t largest_workspace(const PackedWeight& weight, std::int64_t tokens);

/// Empty, or the first product whose bits are not the reference's.
[[nodiscard]] std::string self_check(const Backend& backend);

[[nodiscard]] const Kernel* select_reference(Arithmetic arithmetic, int packed_bits, std::int64_t tokens);

}  // namespace lowbit::kernels
