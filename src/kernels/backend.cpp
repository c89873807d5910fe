#include "kernels/backend.h"

#if defined(LOWBIT_KERNELS_X86)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>

#include "kernels/calibration.h"
#include "kernels/layout.h"
#include "lowbit/base/error.h"
#include "lowbit/base/log.h"

namespace lowbit::kernels {

#if defined(LOWBIT_KERNELS_X86)
std::string missing_for_avx2() {
  if (!__builtin_cpu_supports("avx2")) return "the processor lacks AVX2";
  if (!__builtin_cpu_supports("fma")) return "the processor lacks FMA";
  if (!__builtin_cpu_supports("f16c")) return "the processor lacks F16C";
  return {};
}

std::string missing_for_avx512() {
  if (!__builtin_cpu_supports("avx512f")) return "the processor lacks AVX-512";
  if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")) {
    return "the processor lacks AVX-512 BW or VL";
  }
  if (!__builtin_cpu_supports("avx512vnni")) return "the processor lacks AVX-512 VNNI";
  return {};
}

namespace {

// Bits 22 (bfloat16), 24 and 25 of EDX of leaf 7; GCC 12 has no name for them.
bool has_matrix_tiles() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx >> 24 & 3U) == 3U && (edx >> 22 & 1U) == 1U;
}

}  // namespace

std::string missing_for_amx() {
  std::string missing = missing_for_avx512();
  if (!missing.empty()) return missing;
  if (!has_matrix_tiles()) return "the processor lacks AMX";
  // The kernel saves the tiles of a process that has asked for them (ARCH_REQ_XCOMP_PERM, feature 18).
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  if (::syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return "the operating system denies AMX";
  return {};
}
#endif

namespace {

std::string missing_nothing() { return {}; }

#if defined(LOWBIT_KERNELS_X86)
// Up to these numbers of tokens, decoding in registers was seen to be faster than making panels (4096 x 4096, AVX2).
constexpr std::int64_t kDirectTokens = 4;
constexpr std::int64_t kDirectTokensWide = 2;

const Kernel* select_avx2(Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  const KernelTable& table = avx2_kernels();
  const bool wide = packed_bits == 8;
  switch (arithmetic) {
    case Arithmetic::kInt8:
      if (tokens <= (wide ? kDirectTokensWide : kDirectTokens)) {
        return wide ? &table.direct_int8_wide : &table.direct_int8;
      }
      return wide ? &table.panel_int8_wide : &table.panel_int8;
    case Arithmetic::kInt16:
      if (tokens <= kDirectTokensWide) return wide ? &table.direct_int16_wide : &table.direct_int16;
      return &table.panel_int16;
    case Arithmetic::kBFloat16: return &table.panel_bfloat16;
    case Arithmetic::kInt8TwoLevel: return tokens <= kDirectTokens ? &table.direct_two_level : &table.panel_two_level;
    case Arithmetic::kFloat32: break;
  }
  return &table.panel_float32;
}

std::vector<const Kernel*> avx2_alternatives(Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  const KernelTable& table = avx2_kernels();
  const bool wide = packed_bits == 8;
  std::vector<const Kernel*> kernels;
  switch (arithmetic) {
    case Arithmetic::kInt8: kernels = {wide ? &table.direct_int8_wide : &table.direct_int8}; break;
    case Arithmetic::kInt16: kernels = {wide ? &table.direct_int16_wide : &table.direct_int16}; break;
    case Arithmetic::kInt8TwoLevel: kernels = {&table.direct_two_level}; break;
    case Arithmetic::kFloat32:
    case Arithmetic::kBFloat16: break;
  }
  std::erase_if(kernels, [&](const Kernel* kernel) { return tokens > kernel->tile; });
  // Its panels.
  kernels.push_back(select_avx2(arithmetic, packed_bits, kCallTokens));
  return kernels;
}

const Kernel* select_avx512(Arithmetic arithmetic, int, std::int64_t tokens) {
  const KernelTable& table = avx512_kernels();
  const bool direct = tokens <= kDirectTokens;
  switch (arithmetic) {
    case Arithmetic::kInt8: return direct ? &table.direct_int8 : &table.panel_int8;
    case Arithmetic::kInt16: return direct ? &table.direct_int16 : &table.panel_int16;
    case Arithmetic::kBFloat16: return &table.panel_bfloat16;
    case Arithmetic::kInt8TwoLevel: return direct ? &table.direct_two_level : &table.panel_two_level;
    case Arithmetic::kFloat32: break;
  }
  return &table.panel_float32;
}

std::vector<const Kernel*> avx512_alternatives(Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  std::vector<const Kernel*> kernels = {select_avx512(arithmetic, packed_bits, kCallTokens)};
  const Kernel* direct = select_avx512(arithmetic, packed_bits, 1);
  if (direct != kernels.front() && tokens <= direct->tile) kernels.push_back(direct);
  return kernels;
}

// From as many tokens a tile is worth its loading.
constexpr std::int64_t kTileTokens = 8;

const Kernel* select_amx(Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  if (arithmetic == Arithmetic::kInt8 && tokens >= kTileTokens) return &amx_int8_kernel();
  if (arithmetic == Arithmetic::kInt8TwoLevel && tokens >= kTileTokens) return &amx_two_level_kernel();
  if (arithmetic == Arithmetic::kBFloat16 && tokens >= kTileTokens) return &amx_bfloat16_kernel();
  return select_avx512(arithmetic, packed_bits, tokens);
}

// Those of AVX-512 are that backend's.
std::vector<const Kernel*> amx_alternatives(Arithmetic arithmetic, int, std::int64_t) {
  if (arithmetic == Arithmetic::kInt8) return {&amx_int8_kernel()};
  if (arithmetic == Arithmetic::kInt8TwoLevel) return {&amx_two_level_kernel()};
  if (arithmetic == Arithmetic::kBFloat16) return {&amx_bfloat16_kernel()};
  return {};
}
#endif

// Checked at its first use, once in a process.
struct Checked {
  const Backend* backend;
  std::string problem;  // empty: usable
};

std::vector<Checked> check_all() {
  std::vector<Checked> result;
  for (const Backend& backend : all_backends()) {
    std::string problem = backend.missing();
    if (problem.empty()) {
      problem = self_check(backend);
      if (!problem.empty()) log::error("kernels: backend '{}' is not used: {}", backend.name, problem);
    }
    result.push_back({&backend, std::move(problem)});
  }
  return result;
}

const std::vector<Checked>& checked_backends() {
  static const std::vector<Checked> checked = check_all();
  return checked;
}

const Backend& forced_backend(std::string_view name, std::string_view who) {
  std::string names;
  for (const Checked& checked : checked_backends()) {
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", checked.backend->name);
    if (checked.backend->name != name) continue;
    if (checked.problem.empty()) return *checked.backend;
    fail(ErrorCode::kUnsupported, "kernels: backend '{}', which {} asks for, cannot be used here: {}", name, who,
         checked.problem);
  }
  fail(ErrorCode::kConfig, "kernels: unknown backend '{}' in {}; this build has {}", name, who, names);
}

}  // namespace

std::span<const Backend> all_backends() {
  static constexpr std::array kBackends = {
    Backend{"reference", missing_nothing, select_reference},
#if defined(LOWBIT_KERNELS_X86)
    Backend{"avx2", missing_for_avx2, select_avx2, avx2_alternatives},
    Backend{"avx512vnni", missing_for_avx512, select_avx512, avx512_alternatives},
    Backend{"amx", missing_for_amx, select_amx, amx_alternatives},
#endif
  };
  return kBackends;
}

bool is_usable(const Backend& backend) {
  return std::ranges::any_of(checked_backends(), [&](const Checked& checked) {
    return checked.backend == &backend && checked.problem.empty();
  });
}

const Kernel& choose_kernel(std::string_view name, Arithmetic arithmetic, int packed_bits, std::int64_t tokens,
                            Choice* choice) {
  const auto take = [&](std::string_view backend, const Kernel& kernel, std::string_view reason) -> const Kernel& {
    if (choice != nullptr) *choice = {std::string(backend), kernel.name, std::string(reason)};
    return kernel;
  };
  const auto force = [&](std::string_view forced, std::string_view who, std::string_view reason) -> const Kernel& {
    const Backend& backend = forced_backend(forced, who);
    return take(backend.name, *backend.select(arithmetic, packed_bits, tokens), reason);
  };
  if (!name.empty()) return force(name, "the option", "asked for by the caller");
  const char* variable = std::getenv("LOWBIT_KERNELS");
  if (variable != nullptr && *variable != '\0') {
    return force(variable, "LOWBIT_KERNELS", "asked for by LOWBIT_KERNELS");
  }
  const Checked* fastest = nullptr;
  for (const Checked& checked : checked_backends()) {
    if (checked.problem.empty()) fastest = &checked;
  }
  LOWBIT_ASSERT(fastest != nullptr);
  const Backend& table = *fastest->backend;
  static const bool calibrated = wants_calibration(std::getenv("LOWBIT_CALIBRATION"));
  if (!calibrated || tokens == 0) {
    return take(table.name, *table.select(arithmetic, packed_bits, tokens), "the fastest that this machine has");
  }
  const Calibrated& found = calibrated_kernel(table, arithmetic, packed_bits, tokens);
  return take(found.chosen.backend, *found.chosen.kernel, found.reason);
}

std::vector<BackendState> backends() {
  std::vector<BackendState> result;
  for (const Checked& checked : checked_backends()) {
    result.push_back({std::string(checked.backend->name), checked.problem.empty(), checked.problem});
  }
  return result;
}

Choice explain(const PackedWeight& weight, Arithmetic arithmetic, std::int64_t tokens, std::string_view backend) {
  check_arithmetic(weight, arithmetic);
  Choice choice;
  (void)choose_kernel(backend, arithmetic, weight.layout().packed_bits, tokens, &choice);
  return choice;
}

}  // namespace lowbit::kernels
