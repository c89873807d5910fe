#include "kernels/backend.h"

#if defined(LOWBIT_KERNELS_X86)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>
#include <cstdlib>

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
    case Arithmetic::kFloat32: break;
  }
  return &table.panel_float32;
}

const Kernel* select_avx512(Arithmetic arithmetic, int, std::int64_t tokens) {
  const KernelTable& table = avx512_kernels();
  const bool direct = tokens <= kDirectTokens;
  switch (arithmetic) {
    case Arithmetic::kInt8: return direct ? &table.direct_int8 : &table.panel_int8;
    case Arithmetic::kInt16: return direct ? &table.direct_int16 : &table.panel_int16;
    case Arithmetic::kFloat32: break;
  }
  return &table.panel_float32;
}

// Bits 24 and 25 of EDX of leaf 7; GCC 12 has no name for them.
bool has_matrix_tiles() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx >> 24 & 3U) == 3U;
}

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

// From as many tokens a tile is worth its loading.
constexpr std::int64_t kTileTokens = 8;

const Kernel* select_amx(Arithmetic arithmetic, int packed_bits, std::int64_t tokens) {
  if (arithmetic == Arithmetic::kInt8 && tokens >= kTileTokens) return &amx_int8_kernel();
  return select_avx512(arithmetic, packed_bits, tokens);
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
    Backend{"avx2", missing_for_avx2, select_avx2},
    Backend{"avx512vnni", missing_for_avx512, select_avx512},
    Backend{"amx", missing_for_amx, select_amx},
#endif
  };
  return kBackends;
}

const Backend& choose_backend(std::string_view name, std::string* reason) {
  const auto explain_with = [&](std::string_view text) {
    if (reason != nullptr) *reason = text;
  };
  if (!name.empty()) {
    explain_with("asked for by the caller");
    return forced_backend(name, "the option");
  }
  const char* variable = std::getenv("LOWBIT_KERNELS");
  if (variable != nullptr && *variable != '\0') {
    explain_with("asked for by LOWBIT_KERNELS");
    return forced_backend(variable, "LOWBIT_KERNELS");
  }
  const Checked* fastest = nullptr;
  for (const Checked& checked : checked_backends()) {
    if (checked.problem.empty()) fastest = &checked;
  }
  LOWBIT_ASSERT(fastest != nullptr);
  explain_with("the fastest that this machine has");
  return *fastest->backend;
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
  const Backend& chosen = choose_backend(backend, &choice.reason);
  choice.backend = chosen.name;
  choice.kernel = chosen.select(arithmetic, weight.layout().packed_bits, tokens)->name;
  return choice;
}

}  // namespace lowbit::kernels
