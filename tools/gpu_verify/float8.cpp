#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/cuda/float8.h"
#include "products.h"
#include "random_weights.h"
#include "stages.h"

namespace lowbit::gpu_verify {

namespace {

using kernels::PackedWeight;

struct Case {
  std::int64_t rows;
  std::int64_t columns;
  int tokens;
  [[nodiscard]] std::string name() const { return fmt::format("hopper_float8 {}x{} M{}", columns, rows, tokens); }
};

constexpr const char* kRounding = "round_float8";

// The smallest first: every size of block, rows and columns that end within tiles and chunks.
std::vector<Case> chosen_cases(const Settings& settings) {
  std::vector<Case> cases = {{33, 700, 5}, {33, 700, 70}, {33, 700, 130}};
  if (!settings.tiny) {
    for (const int tokens : {1, 64, 65, 128, 129, 257, 600}) {
      cases.push_back({192, 1111, tokens});
      cases.push_back({576, 2500, tokens});
    }
    cases.push_back({4096, 4096, 200});
  }
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.name()); });
  return cases;
}

// A row of every bfloat16 up to 448, whose scale is 1; and rows of ordinary numbers of all sizes.
std::vector<float> rounding_input(std::int64_t columns, int tokens) {
  std::vector<float> input = make_input(columns * tokens, 9);
  for (std::int64_t k = 0; k < columns; ++k) {
    const auto magnitude = static_cast<std::uint16_t>(k / 2 % 0x43E1);
    const float value = bfloat16_to_float(magnitude);
    input[static_cast<std::size_t>(k)] = k % 2 == 0 ? value : -value;
  }
  input[0] = 448.0F;
  for (std::size_t i = static_cast<std::size_t>(columns); i < input.size(); ++i) {
    input[i] = std::ldexp(input[i], static_cast<int>(i / static_cast<std::size_t>(columns) * 37 % 240) - 140);
  }
  return input;
}

void check_rounding(const Gpu& gpu, bool tiny, Results& results) {
  const int tokens = 9;
  const std::int32_t columns = tiny ? 1000 : 2 * 0x43E1;
  const std::vector<float> values = rounding_input(columns, tokens);
  const Buffer<float> input(gpu, values);
  const Buffer<float> scales(gpu, static_cast<std::size_t>(tokens));
  const Buffer<std::uint16_t> numbers(gpu, values.size());
  const std::int32_t steps = (columns + kernels::kStepColumns - 1) / kernels::kStepColumns;
  const cuda::RoundFloat8Call call = {
      {input.data(), cuda::NumberKind::kFloat32, columns, tokens, columns, nullptr, steps},
      scales.data(),
      numbers.data(),
      nullptr,
      0};
  const cuda::Launch launch = gpu.launch();
  cuda::Library::call("rounding activations to E4M3", gpu.table().round_float8, &call, &launch);
  gpu.wait();
  const std::vector<float> found_scales = scales.read();
  const std::vector<std::uint16_t> found = numbers.read();
  int others = 0;
  for (int token = 0; token < tokens; ++token) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(token) * columns;
    float largest = 0;
    for (std::int32_t k = 0; k < columns; ++k) largest = std::max(largest, std::fabs(row[k]));
    const float scale = largest / cuda::kLargestE4m3 > 0 ? largest / cuda::kLargestE4m3 : 1.0F;
    const auto t = static_cast<std::size_t>(token);
    others += std::bit_cast<std::uint32_t>(found_scales[t]) == std::bit_cast<std::uint32_t>(scale) ? 0 : 1;
    for (std::int32_t k = 0; k < columns; ++k) {
      const float number = cuda::e4m3_as_float(cuda::nearest_e4m3(row[k] / scale));
      const std::uint16_t at = found[t * static_cast<std::size_t>(columns) + static_cast<std::size_t>(k)];
      others += at == float_to_bfloat16(number) ? 0 : 1;
    }
  }
  Record record;
  record.text("case", kRounding).number("numbers", static_cast<double>(found.size())).number("other_codes", others);
  results.write_check(record, others == 0);
}

struct Product {
  UnpackedWeight weight;
  std::vector<float> input;
};

// Whole numbers up to 8 times whole numbers up to 7, with scales that are powers of two: sums of a chunk need 13 bits,
// and outputs are exact.
Product whole_numbers(const Case& c) {
  Product product = {make_weight({c.rows, c.columns, c.columns, 8, true, false, true}, 17), {}};
  std::mt19937_64 engine(23);
  for (std::uint8_t& code : product.weight.codes) {
    code = static_cast<std::uint8_t>(cuda::nearest_e4m3(static_cast<float>(engine() % 17) - 8.0F));
  }
  for (float& scale : product.weight.scales) scale = std::ldexp(1.0F, static_cast<int>(engine() % 5) - 6);
  for (std::int64_t i = 0; i < c.tokens * c.columns; ++i) {
    product.input.push_back(i % c.columns == 0 ? 7.0F : static_cast<float>(engine() % 15) - 7.0F);
  }
  return product;
}

Product any_numbers(const Case& c) {
  return {make_weight({c.rows, c.columns, c.columns, 8, true, false, true}, 17), make_input(c.tokens * c.columns, 5)};
}

// What activations are rounded to, in double.
std::vector<double> rounded(const Case& c, const std::vector<float>& input) {
  std::vector<double> result(input.size());
  for (int token = 0; token < c.tokens; ++token) {
    const auto first = static_cast<std::size_t>(token * c.columns);
    float largest = 0;
    for (std::int64_t k = 0; k < c.columns; ++k) {
      largest = std::max(largest, std::fabs(input[first + static_cast<std::size_t>(k)]));
    }
    const float scale = largest / cuda::kLargestE4m3;
    for (std::int64_t k = 0; k < c.columns; ++k) {
      const std::size_t at = first + static_cast<std::size_t>(k);
      const float number = cuda::e4m3_as_float(cuda::nearest_e4m3(input[at] / scale));
      result[at] = static_cast<double>(number) * static_cast<double>(scale);
    }
  }
  return result;
}

// The worst of all outputs' distances from float64, as parts of the sums of their terms' magnitudes.
double worst_error(const Case& c, const Product& product, const std::vector<float>& found) {
  const std::vector<double> input = rounded(c, product.input);
  std::vector<double> of_rows(static_cast<std::size_t>(c.rows));
  const auto check = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      double worst = 0;
      const auto scale = static_cast<double>(product.weight.scales[static_cast<std::size_t>(r)]);
      const std::uint8_t* codes = product.weight.codes.data() + r * c.columns;
      std::vector<double> decoded;
      for (std::int64_t k = 0; k < c.columns; ++k) {
        decoded.push_back(static_cast<double>(product.weight.table[codes[k]]) * scale);
      }
      for (int token = 0; token < c.tokens; ++token) {
        double sum = 0;
        double magnitude = 0;
        for (std::int64_t k = 0; k < c.columns; ++k) {
          const double term =
              input[static_cast<std::size_t>(token * c.columns + k)] * decoded[static_cast<std::size_t>(k)];
          sum += term;
          magnitude += std::fabs(term);
        }
        const auto value = static_cast<double>(found[static_cast<std::size_t>(token * c.rows + r)]);
        const double error = std::fabs(value - sum);
        worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error > 0 ? error / magnitude : 0.0);
      }
      of_rows[static_cast<std::size_t>(r)] = worst;
    }
  };
  const kernels::Executor threads = all_threads();
  threads.parallel_for(
      threads.context, c.rows,
      [](void* state, std::int64_t begin, std::int64_t end) {
        (*static_cast<const decltype(check)*>(state))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&check)));
  return *std::ranges::max_element(of_rows);
}

// Of an output's terms' magnitudes: what `HopperFloat8` says of a chunk, and roundings of float32.
double bound(const Case& c) { return 132 * 0x1p-13 + (static_cast<double>(c.columns) / 64 + 12) * 0x1p-24; }

struct Found {
  double error;
  bool same_again;  ///< by dependent launches
};

Found multiply(const Gpu& gpu, const Case& c, const Product& product) {
  const Weights device(gpu, cuda::pack(PackedWeight::pack(product.weight.view())), 1);
  const Float8Runner runner(gpu, device, product.input, c.tokens);
  std::vector<float> outputs[2];
  for (const bool dependent : {false, true}) {
    runner.poison();
    runner.round(0, dependent);
    runner.multiply(0, dependent);
    gpu.wait();
    outputs[dependent ? 1 : 0] = runner.output();
  }
  const bool same = std::memcmp(outputs[0].data(), outputs[1].data(), outputs[0].size() * sizeof(float)) == 0;
  return {worst_error(c, product, outputs[0]), same};
}

}  // namespace

std::vector<std::string> float8_cases(const Settings& settings) {
  std::vector<std::string> names;
  if (settings.admits(kRounding)) names.emplace_back(kRounding);
  for (const Case& c : chosen_cases(settings)) names.push_back(c.name());
  return names;
}

void run_float8(const Gpu& gpu, const Settings& settings, Results& results) {
  if (settings.admits(kRounding)) check_rounding(gpu, settings.tiny, results);
  for (const Case& c : chosen_cases(settings)) {
    if (gpu.facts().major != 9) {
      results.write(Record().text("case", c.name()).text("not_run", "the kernel is for compute capability 9.0"));
      continue;
    }
    const Found whole = multiply(gpu, c, whole_numbers(c));
    const Found any = multiply(gpu, c, any_numbers(c));
    Record record;
    record.text("case", c.name())
        .flag("whole_numbers_exact", whole.error == 0)
        .number("error", any.error)
        .number("error_of_bound", any.error / bound(c))
        .flag("same_bits_again", whole.same_again && any.same_again);
    results.write_check(record, whole.error == 0 && any.error <= bound(c) && whole.same_again && any.same_again);
  }
}

}  // namespace lowbit::gpu_verify
