#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <cstring>

#include "lowbit/kernels/api.h"
#include "products.h"
#include "random_weights.h"
#include "stages.h"

namespace lowbit::gpu_verify {

namespace {

using kernels::Arithmetic;
using kernels::PackedWeight;

enum class Kind {
  kSkinny,
  kTiled,
  kHopper,
  kHopperRounded,
  kHopperSliced,
  kInt8,
  kInt16,
  kHopperBytes,
  kHopperRoundedTurns,
  kHopperBytesTurns,
  kInt8Tiled
};
constexpr const char* kKindNames[] = {
    "skinny",    "tiled", "hopper",       "hopper_rounded",       "hopper_sliced",
    "int8",      "int16", "hopper_bytes", "hopper_rounded_turns", "hopper_bytes_turns",
    "int8_tiled"};

bool is_for_hopper(Kind kind) {
  return kind != Kind::kSkinny && kind != Kind::kTiled && kind != Kind::kInt8 && kind != Kind::kInt8Tiled &&
         kind != Kind::kInt16;
}
bool is_rounded(Kind kind) { return kind == Kind::kHopperRounded || kind == Kind::kHopperRoundedTurns; }
bool is_of_integers(Kind kind) {
  return kind == Kind::kInt8 || kind == Kind::kInt8Tiled || kind == Kind::kInt16 || kind == Kind::kHopperBytes ||
         kind == Kind::kHopperBytesTurns;
}
IntegerKernel integer_kernel(Kind kind) {
  if (kind == Kind::kHopperBytes) return IntegerKernel::kHopper;
  if (kind == Kind::kHopperBytesTurns) return IntegerKernel::kHopperTurns;
  return kind == Kind::kInt8Tiled ? IntegerKernel::kTiled : IntegerKernel::kPlain;
}
cuda::HalfKernel half_kernel(Kind kind) {
  if (kind == Kind::kHopper) return cuda::HalfKernel::kHopper;
  if (kind == Kind::kHopperRounded) return cuda::HalfKernel::kHopperRounded;
  if (kind == Kind::kHopperSliced) return cuda::HalfKernel::kHopperSliced;
  if (kind == Kind::kHopperRoundedTurns) return cuda::HalfKernel::kHopperRoundedTurns;
  return kind == Kind::kTiled ? cuda::HalfKernel::kTiled : cuda::HalfKernel::kSkinny;
}

struct Case {
  Kind kind;
  WeightCase weight;
  int tokens;
  bool bfloat16 = false;
  int splits = 0;  ///< 0: as scheduled

  [[nodiscard]] std::string name() const {
    return fmt::format("{} W{} {}x{} g{} M{}{}{}{}{}{}", kKindNames[static_cast<int>(kind)], weight.bits,
                       weight.columns, weight.rows, weight.group, tokens, weight.symmetric ? "" : " zeros",
                       weight.moved ? " moved" : "", weight.table ? " table" : "", bfloat16 ? " bf16" : "",
                       splits > 0 ? fmt::format(" splits{}", splits) : "");
  }
};

// The sum of a tensor core loses up to a unit of 2^-23 of its largest term for each of the 17 that it adds, and more
// terms are rounded on the way: columns of 2^-23 each cover both twice. A number of a table is two terms, which leave
// up to 2^-17 of it.
double bound(const WeightCase& weight, double magnitude) {
  const double terms = static_cast<double>(weight.columns) * (weight.table ? 2 : 1);
  return ((2.0 * terms + 8.0) * 0x1p-23 + (weight.table ? 0x1p-17 : 0.0)) * magnitude;
}

double rounded_to_16_bits(float value, bool bfloat16) {
  const std::uint16_t bits = to_16_bits({value}, bfloat16).front();
  return static_cast<double>(bfloat16 ? bfloat16_to_float(bits) : half_to_float(bits));
}

/// What a product is held to, row by row.
struct Reference {
  const std::vector<float>& found;
  const UnpackedWeight& weight;
  const std::vector<std::uint16_t>& input;
  const Case& c;

  // A row's worst error in units of its bound; infinite when an output is NaN.
  [[nodiscard]] double worst_error(std::int64_t r) const {
    const std::int64_t columns = c.weight.columns;
    std::vector<double> decoded(static_cast<std::size_t>(columns));
    for (std::int64_t k = 0; k < columns; ++k) {
      const std::int64_t group = c.weight.moved ? k % weight.shape.groups : k / c.weight.group;
      const auto at = static_cast<std::size_t>(r * weight.shape.groups + group);
      const std::uint8_t code = weight.codes[static_cast<std::size_t>(r * columns + k)];
      const double number =
          c.weight.table ? static_cast<double>(weight.table[code]) : code - static_cast<double>(weight.zeros[at]);
      double& value = decoded[static_cast<std::size_t>(k)];
      value = static_cast<double>(weight.scales[at]) * number;
      if (is_rounded(c.kind)) value = rounded_to_16_bits(static_cast<float>(value), c.bfloat16);
    }
    double worst = 0.0;
    for (int t = 0; t < c.tokens; ++t) {
      double sum = 0.0;
      double magnitude = 0.0;
      for (std::int64_t k = 0; k < columns; ++k) {
        const std::uint16_t bits = input[static_cast<std::size_t>(t * columns + k)];
        const double x = static_cast<double>(c.bfloat16 ? bfloat16_to_float(bits) : half_to_float(bits));
        sum += x * decoded[static_cast<std::size_t>(k)];
        magnitude += std::fabs(x * decoded[static_cast<std::size_t>(k)]);
      }
      const double value = static_cast<double>(found[static_cast<std::size_t>(t * c.weight.rows + r)]);
      const double error = std::fabs(value - sum) / bound(c.weight, magnitude);
      worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
    }
    return worst;
  }

  [[nodiscard]] double worst_error() const {
    std::vector<double> of_rows(static_cast<std::size_t>(c.weight.rows));
    const auto check = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) of_rows[static_cast<std::size_t>(r)] = worst_error(r);
    };
    const kernels::Executor threads = all_threads();
    threads.parallel_for(
        threads.context, c.weight.rows,
        [](void* state, std::int64_t begin, std::int64_t end) {
          (*static_cast<const decltype(check)*>(state))(begin, end);
        },
        const_cast<void*>(static_cast<const void*>(&check)));
    return *std::ranges::max_element(of_rows);
  }
};

bool check_half(const Gpu& gpu, const Case& c, const UnpackedWeight& weight, const Weights& device, Record& record) {
  const auto input = to_16_bits(make_input(c.tokens * c.weight.columns, 5), c.bfloat16);
  const auto number = c.bfloat16 ? cuda::NumberKind::kBFloat16 : cuda::NumberKind::kFloat16;
  HalfRunner runner(gpu, device, number, input, c.tokens, half_kernel(c.kind));
  if (c.splits > 0) runner.force_splits(c.splits);
  runner.poison();
  runner.run(0);
  gpu.wait();
  const std::vector<float> found = runner.output();
  const double worst = Reference{found, weight, input, c}.worst_error();
  // Again, by dependent launches: the same bits.
  runner.poison();
  runner.run(0, true);
  gpu.wait();
  const std::vector<float> again = runner.output();
  const bool same = std::memcmp(found.data(), again.data(), found.size() * sizeof(float)) == 0;
  record.number("error_of_bound", worst).flag("same_bits_again", same);
  return worst <= 1.0 && same;
}

bool check_integer(const Gpu& gpu, const Case& c, const PackedWeight& weight, const Weights& device, Record& record) {
  const int planes = c.kind == Kind::kInt16 ? 2 : 1;
  const Arithmetic arithmetic = c.kind == Kind::kInt16 ? Arithmetic::kInt16 : Arithmetic::kInt8;
  const std::vector<float> input = make_input(c.tokens * c.weight.columns, 5);
  IntegerRunner runner(gpu, device, planes, input, c.tokens, integer_kernel(c.kind));
  runner.poison();
  runner.quantize(0);
  runner.multiply(0, true);
  gpu.wait();
  const std::vector<float> found = runner.output();
  std::vector<float> expected(found.size());
  std::vector<std::byte> space(kernels::workspace_bytes(weight, arithmetic, c.tokens, {}));
  kernels::multiply({weight,
                     arithmetic,
                     {input.data(), c.tokens, c.weight.columns, c.weight.columns},
                     {expected.data(), c.tokens, c.weight.rows, c.weight.rows},
                     {},
                     space,
                     {},
                     {}});
  const bool same = std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0;
  record.flag("cpus_bits", same);
  return same;
}

// Every size of block, stages used again, groups within a chunk, splits, and columns that moved.
std::vector<Case> half_cases_for_hopper(Kind kind, bool tiny) {
  std::vector<Case> cases = {{kind, {33, 192, 64, 4, false}, 3},
                             {kind, {150, 1100, 128, 4, false}, 20, true},
                             {kind, {33, 192, 64, 4, false, true}, 5},
                             {kind, {33, 2100, 128, 4, false}, 40, false, 2}};
  if (tiny) return cases;
  for (const int tokens : {16, 17, 32, 33, 64, 65, 128, 129, 300}) {
    for (const std::int64_t group : {32, 96, 128, 4096}) {
      cases.push_back({kind, {576, 2500, group, 4, false}, tokens, tokens % 2 == 0});
    }
  }
  return cases;
}

// Every size of block, one slice and all that there may be, more tiles than groups of warps, and columns that moved.
std::vector<Case> sliced_cases(bool tiny) {
  constexpr Kind kKind = Kind::kHopperSliced;
  std::vector<Case> cases = {{kKind, {33, 256, 128, 4, false}, 3, false, 1},
                             {kKind, {150, 1152, 128, 4, false}, 20, true},
                             {kKind, {33, 250, 128, 4, false, true}, 5},
                             {kKind, {33, 2048, 256, 4}, 40, false, 2},
                             {kKind, {300, 2176, 4096, 4, false}, 64, false, 8}};
  if (tiny) return cases;
  for (const int tokens : {1, 16, 17, 32, 33, 64}) {
    for (const std::int64_t group : {128, 384, 4096}) {
      cases.push_back({kKind, {2500, 1152, group, 4, false}, tokens, tokens % 2 == 0});
    }
    for (const int slices : {1, 2, 4, 8}) {
      if (tokens <= 32 || slices >= 4) cases.push_back({kKind, {9000, 2048, 128, 4, false}, tokens, false, slices});
    }
  }
  cases.push_back({kKind, {11008, 4096, 128, 4}, 64});
  return cases;
}

// Of the kernels whose blocks have 256 tokens, the smallest first; 33, 150 and 1111 rows do not fill lines of 16 bytes.
void add_cases_of_many_tokens(Kind bytes, Kind rounded, bool tiny, std::vector<Case>& cases) {
  cases.push_back({bytes, {33, 700, 4096, 8, false}, 130});
  for (const int tokens : {129, 256, 257, 600}) {
    if (tiny) break;
    cases.push_back({bytes, {192, 1111, 4096, 8, false}, tokens});
    cases.push_back({bytes, {576, 2500, 4096, 8}, tokens});
  }
  cases.push_back({rounded, {33, 192, 64, 4, false}, 3});
  cases.push_back({rounded, {150, 1100, 96, 4, false}, 70, true});
  cases.push_back({rounded, {33, 2100, 128, 4, false, true}, 40, false, 2});
  if (tiny) return;
  for (const int tokens : {129, 256, 300, 600}) {
    for (const std::int64_t group : {32, 96, 128, 4096}) {
      cases.push_back({rounded, {576, 2500, group, 4, false}, tokens, tokens % 2 == 0});
    }
  }
  cases.push_back({rounded, {4096, 4096, 128, 4}, 200});
}

// The smallest first: one block, then two that share activations.
std::vector<Case> cases_for_hopper(bool tiny) {
  std::vector<Case> cases = half_cases_for_hopper(Kind::kHopper, tiny);
  cases.push_back({Kind::kHopper, {33, 700, 128, 4, false}, 70});
  cases.push_back({Kind::kHopper, {33, 2100, 128, 4}, 70, true, 2});
  if (!tiny) cases.push_back({Kind::kHopper, {4096, 4096, 128, 4}, 128});
  for (const Case& c : sliced_cases(tiny)) cases.push_back(c);
  for (const int tokens : {5, 70}) cases.push_back({Kind::kHopperBytes, {33, 700, 4096, 8, false}, tokens});
  for (const int tokens : {1, 64, 65, 128}) {
    if (tiny) break;
    cases.push_back({Kind::kHopperBytes, {192, 1111, 4096, 8, false}, tokens});
    cases.push_back({Kind::kHopperBytes, {576, 2500, 4096, 8}, tokens});
  }
  add_cases_of_many_tokens(Kind::kHopperBytes, Kind::kHopperRounded, tiny, cases);
  return cases;
}

// Kernels that no GPU has run yet.
std::vector<Case> unproven_cases(bool tiny) {
  std::vector<Case> cases;
  for (const int bits : {4, 2, 3}) {
    cases.push_back({Kind::kInt8Tiled, {33, 300, 64, bits, false}, 9});
    for (const std::int64_t group : {32, 48, 96, 128, 256, 4096}) {
      if (!tiny) cases.push_back({Kind::kInt8Tiled, {576, 1111, group, bits, false}, bits == 4 ? 300 : 130});
    }
  }
  if (!tiny) cases.push_back({Kind::kInt8Tiled, {4096, 4096, 128, 4}, 256});
  add_cases_of_many_tokens(Kind::kHopperBytesTurns, Kind::kHopperRoundedTurns, tiny, cases);
  return cases;
}

std::vector<Case> all_cases(bool tiny) {
  std::vector<Case> cases;
  for (const int bits : {4, 2, 3, 8}) {
    cases.push_back({Kind::kSkinny, {33, 1100, 64, bits}, 3});
    cases.push_back({Kind::kSkinny, {33, 576, 64, bits, false}, 9, true});
    cases.push_back({Kind::kInt8, {33, 300, 64, bits, false}, 3});
    cases.push_back({Kind::kInt16, {33, 300, 128, bits, false}, 3});
    if (bits == 4 || bits == 8) cases.push_back({Kind::kTiled, {150, 264, 128, bits, false}, 20});
  }
  for (const int bits : {4, 8}) {
    cases.push_back({Kind::kSkinny, {33, 1100, 64, bits, true, false, true}, 3});
    cases.push_back({Kind::kSkinny, {33, 2100, 128, bits, true, false, true}, 40, true, 2});
  }
  cases.push_back({Kind::kSkinny, {33, 192, 64, 4, false, true}, 5});
  cases.push_back({Kind::kSkinny, {33, 2100, 128, 4, false}, 3, false, 2});
  if (tiny) return cases;
  for (const int bits : {4, 2, 3, 8}) {
    for (const int tokens : {1, 7, 8, 9, 16, 17, 32, 33, 64, 65}) {
      cases.push_back({Kind::kSkinny, {576, 1536, 128, bits, false}, tokens, tokens % 2 == 0});
    }
    for (const std::int64_t group : {32, 48, 96, 128, 4096}) {
      cases.push_back({Kind::kSkinny, {192, 577, group, bits, false}, 5});
      for (const int tokens : {1, 8, 9, 40}) {
        cases.push_back({Kind::kInt8, {192, 1111, group, bits, false}, tokens});
        cases.push_back({Kind::kInt16, {192, 1111, group, bits, false}, tokens});
      }
    }
  }
  for (const int bits : {4, 8}) {
    for (const int tokens : {64, 128, 129, 300}) {
      cases.push_back({Kind::kTiled, {576, 1536, 128, bits, false}, tokens, tokens % 2 == 0});
      cases.push_back({Kind::kTiled, {200, 584, 32, bits, false}, tokens});
    }
  }
  return cases;
}

std::vector<Case> chosen(std::vector<Case> cases, const Settings& settings) {
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.name()); });
  return cases;
}

void check_cases(const Gpu& gpu, const std::vector<Case>& cases, Results& results) {
  for (const Case& c : cases) {
    if (is_for_hopper(c.kind) && gpu.facts().major != 9) {
      results.write(Record().text("case", c.name()).text("not_run", "the kernel is for compute capability 9.0"));
      continue;
    }
    const UnpackedWeight canonical = make_weight(c.weight, 17);
    const PackedWeight weight = PackedWeight::pack(canonical.view());
    const Weights device(gpu, cuda::pack(weight), 1);
    Record record;
    record.text("case", c.name());
    const bool passed = is_of_integers(c.kind) ? check_integer(gpu, c, weight, device, record)
                                               : check_half(gpu, c, canonical, device, record);
    results.write_check(record, passed);
  }
}

}  // namespace

std::vector<std::string> correctness_cases(const Settings& settings) {
  std::vector<std::string> names;
  if (settings.unproven) {
    for (const std::string& name : step_cases(settings)) names.push_back(name);
    for (const Case& c : chosen(unproven_cases(settings.tiny), settings)) names.push_back(c.name());
    for (const std::string& name : columns_cases(settings)) names.push_back(name);
    for (const std::string& name : float8_cases(settings)) names.push_back(name);
    return names;
  }
  for (const Case& c : chosen(all_cases(settings.tiny), settings)) names.push_back(c.name());
  for (const std::string& name : step_cases(settings)) names.push_back(name);
  for (const std::string& name : attention_cases(settings)) names.push_back(name);
  for (const Case& c : chosen(cases_for_hopper(settings.tiny), settings)) names.push_back(c.name());
  return names;
}

// Hopper's kernels come last: threads that wait for a copy which never comes would hold up all others.
void run_correctness(const Gpu& gpu, const Settings& settings, Results& results) {
  if (settings.unproven) {
    run_step(gpu, settings, results);
    check_cases(gpu, chosen(unproven_cases(settings.tiny), settings), results);
    run_columns(gpu, settings, results);
    return run_float8(gpu, settings, results);
  }
  check_cases(gpu, chosen(all_cases(settings.tiny), settings), results);
  run_step(gpu, settings, results);
  run_attention(gpu, settings, results);
  check_cases(gpu, chosen(cases_for_hopper(settings.tiny), settings), results);
}

}  // namespace lowbit::gpu_verify
