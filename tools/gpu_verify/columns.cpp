#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "random_weights.h"
#include "stages.h"
#include "timing.h"

namespace lowbit::gpu_verify {

namespace {

struct Case {
  int columns;
  int rows;
  int bits = 4;
  int group = 128;
  bool real_zeros = false;
  bool carries = false;

  [[nodiscard]] std::string name() const {
    return fmt::format("solve_columns W{} {}x{} g{}{}{}", bits, columns, rows, group, real_zeros ? " real zeros" : "",
                       carries ? " carried" : "");
  }
  [[nodiscard]] std::string speed_name() const {
    return fmt::format("speed of columns {}x{}{}", columns, rows, carries ? " carried" : "");
  }
  [[nodiscard]] std::size_t at(int column, int row) const {
    return static_cast<std::size_t>(column) * static_cast<std::size_t>(rows) + static_cast<std::size_t>(row);
  }
};

// Leaves and blocks of threads that end within and at their ends.
std::vector<Case> chosen_cases(const Settings& settings) {
  std::vector<Case> cases = {{17, 65}, {128, 70, 2, 32}, {40, 33, 8, 7, true}, {50, 70, 4, 32, false, true}};
  if (!settings.tiny) {
    for (const int bits : {2, 3, 4, 8}) {
      for (const int columns : {1, 64, 127, 128}) {
        cases.push_back({columns, 576, bits, 64});
        cases.push_back({columns, 1111, bits, 32, true});
        cases.push_back({(columns + 1) / 2, 300, bits, 32, false, true});
      }
    }
    cases.push_back({128, 11008});
  }
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.name()); });
  return cases;
}

std::vector<Case> chosen_speeds(const Settings& settings) {
  std::vector<Case> cases = settings.tiny
                                ? std::vector<Case>{{128, 64}}
                                : std::vector<Case>{{128, 4096}, {128, 11008}, {64, 4096, 4, 128, false, true}};
  std::erase_if(cases, [&](const Case& c) { return !settings.admits(c.speed_name()); });
  return cases;
}

// What is solved. The factor's numbers above the diagonal are small beside it, as those of a damped Hessian are.
struct Problem {
  explicit Problem(const Case& c) : stride(c.columns + 5), groups((c.columns - 1) / c.group + 1) {
    std::mt19937_64 engine(29);
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> share;
    const auto count = static_cast<std::size_t>(groups) * static_cast<std::size_t>(c.rows);
    for (std::size_t i = 0; i < c.at(c.columns, 0); ++i) weights.push_back(normal(engine));
    for (int row = 0; row < c.columns; ++row) {
      for (int column = 0; column < stride; ++column) {
        upper.push_back(row == column ? 1.0F + share(engine) : 0.02F * normal(engine));
        carry.push_back(row == column ? 0.0F : 0.002F * normal(engine));
      }
      group_of.push_back(groups - 1 - row / c.group);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const float zero = static_cast<float>(1 << c.bits) * share(engine);
      scales.push_back(0.05F + 0.3F * share(engine));
      zeros.push_back(c.real_zeros ? zero : std::floor(zero));
    }
  }
  int stride;
  int groups;
  std::vector<float> weights;
  std::vector<float> upper;
  std::vector<float> carry;
  std::vector<float> scales;
  std::vector<float> zeros;
  std::vector<std::int32_t> group_of;
};

class ColumnsRunner {
 public:
  ColumnsRunner(const Gpu& gpu, const Case& c, const Problem& problem)
      : gpu_(gpu),
        weights_(gpu, problem.weights),
        original_(gpu, problem.weights),
        upper_(gpu, problem.upper),
        scales_(gpu, problem.scales),
        zeros_(gpu, problem.zeros),
        groups_(gpu, problem.group_of),
        codes_(gpu, problem.weights.size()),
        carry_(gpu, problem.carry),
        carried_(gpu, c.carries ? problem.weights.size() : 0),
        values_(gpu, c.carries ? problem.weights.size() : 0),
        call_{weights_.data(), upper_.data(),     scales_.data(), zeros_.data(),
              groups_.data(),  codes_.data(),     problem.stride, c.rows,
              c.columns,       (1 << c.bits) - 1, c.real_zeros,   c.carries ? carry_.data() : nullptr,
              carried_.data(), values_.data()},
        bytes_(problem.weights.size() * sizeof(float)) {}

  void restore() const {
    cuda::Library::call("copying", gpu_.table().copy_within, weights_.data(), original_.data(), bytes_, gpu_.stream());
    cuda::Library::call("filling", gpu_.table().fill, codes_.data(), 0xFF, bytes_ / sizeof(float), gpu_.stream());
  }
  void run(bool dependent = false) const {
    const cuda::Launch launch = gpu_.launch(dependent);
    cuda::Library::call("solving columns", gpu_.table().solve_columns, &call_, &launch);
  }
  [[nodiscard]] std::vector<float> errors() const { return weights_.read(); }
  [[nodiscard]] std::vector<float> carried() const { return carried_.read(); }
  [[nodiscard]] std::vector<float> values() const { return values_.read(); }
  [[nodiscard]] std::vector<std::uint8_t> codes() const { return codes_.read(); }

 private:
  const Gpu& gpu_;
  Buffer<float> weights_;
  Buffer<float> original_;
  Buffer<float> upper_;
  Buffer<float> scales_;
  Buffer<float> zeros_;
  Buffer<std::int32_t> groups_;
  Buffer<std::uint8_t> codes_;
  Buffer<float> carry_;
  Buffer<float> carried_;
  Buffer<float> values_;
  cuda::SolveColumnsCall call_;
  std::uint64_t bytes_;
};

struct Found {
  explicit Found(const ColumnsRunner& runner)
      : errors(runner.errors()), codes(runner.codes()), carried(runner.carried()), values(runner.values()) {}
  bool operator==(const Found&) const = default;
  std::vector<float> errors;
  std::vector<std::uint8_t> codes;
  std::vector<float> carried;  ///< empty unless the case carries
  std::vector<float> values;   ///< likewise
};

// How many numbers of a row the lines of the algorithm, each operation rounded to float32 by itself, do not give.
int count_others(const Case& c, const Problem& problem, int row, const Found& found) {
  std::vector<float> left(static_cast<std::size_t>(c.columns));
  for (int j = 0; j < c.columns; ++j) left[static_cast<std::size_t>(j)] = problem.weights[c.at(j, row)];
  int others = 0;
  for (int j = 0; j < c.columns; ++j) {
    const auto column = static_cast<std::size_t>(j);
    const std::size_t row_of_factors = column * static_cast<std::size_t>(problem.stride);
    const std::size_t parameters = c.at(problem.group_of[column], row);
    const float scale = problem.scales[parameters];
    const float zero = problem.zeros[parameters];
    const float steps = left[column] / scale;
    float code = c.real_zeros ? std::nearbyint(steps + zero) : std::nearbyint(steps) + zero;
    code = std::clamp(code, 0.0F, static_cast<float>((1 << c.bits) - 1));
    const float value = scale * (code - zero);
    const float error = (left[column] - value) / problem.upper[row_of_factors + column];
    const std::size_t at = c.at(j, row);
    others += found.codes[at] == static_cast<std::uint8_t>(code) && found.errors[at] == error ? 0 : 1;
    if (c.carries) others += found.carried[at] == left[column] && found.values[at] == value ? 0 : 1;
    for (std::size_t k = column + 1; k < left.size(); ++k) {
      left[k] = std::fma(-error, problem.upper[row_of_factors + k], left[k]);
      if (c.carries) left[k] = std::fma(left[column], problem.carry[row_of_factors + k], left[k]);
    }
  }
  return others;
}

void check(const Gpu& gpu, const Case& c, Results& results) {
  const Problem problem(c);
  const ColumnsRunner runner(gpu, c, problem);
  runner.run();
  gpu.wait();
  const Found found(runner);
  int others = 0;
  for (int row = 0; row < c.rows; ++row) others += count_others(c, problem, row, found);
  runner.restore();
  runner.run(true);
  gpu.wait();
  const bool same = Found(runner) == found;
  Record record;
  record.text("case", c.name())
      .number("numbers", static_cast<double>(found.errors.size()))
      .number("others_than_the_algorithms", others)
      .flag("same_bits_again", same);
  results.write_check(record, others == 0 && same);
}

}  // namespace

std::vector<std::string> columns_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const Case& c : chosen_cases(settings)) names.push_back(c.name());
  return names;
}

void run_columns(const Gpu& gpu, const Settings& settings, Results& results) {
  for (const Case& c : chosen_cases(settings)) check(gpu, c, results);
}

void run_columns_repetition(const Gpu& gpu, int times, Results& results) {
  const Case c = {128, 300};
  const Problem problem(c);
  const ColumnsRunner runner(gpu, c, problem);
  std::vector<float> first;
  int others = 0;
  for (int i = 0; i < times; ++i) {
    runner.restore();
    runner.run(i % 2 == 1);
    gpu.wait();
    const std::vector<float> found = runner.errors();
    if (i == 0) first = found;
    others += std::memcmp(first.data(), found.data(), first.size() * sizeof(float)) == 0 ? 0 : 1;
  }
  Record record;
  record.text("case", fmt::format("solve_columns, {} runs", times)).number("other_bits", others);
  results.write_check(record, others == 0);
}

std::vector<std::string> columns_speed_cases(const Settings& settings) {
  std::vector<std::string> names;
  for (const Case& c : chosen_speeds(settings)) names.push_back(c.speed_name());
  return names;
}

// Each run solves the errors that the one before it left, which shrink.
void run_columns_speed(const Gpu& gpu, const Settings& settings, Results& results) {
  for (const Case& c : chosen_speeds(settings)) {
    const Problem problem(c);
    const ColumnsRunner runner(gpu, c, problem);
    const Graph graph(gpu, [&] { runner.run(); });
    const auto numbers = static_cast<double>(problem.weights.size());
    Record record;
    record.text("case", c.speed_name()).text("entrant", "solve_columns");
    write_times(timed(graph, settings), (c.carries ? 17.0 : 9.0) * numbers, copy_rate(gpu, settings), record, results);
  }
}

}  // namespace lowbit::gpu_verify
