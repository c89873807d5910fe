#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "efficiency/gemm_operands.h"
#include "lowbit/kernels/api.h"
#include "lowbit/tensor/decode.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/parallel.h"

// lowbit_kernels_bench [--benchmark_filter=...]: the pieces of a packed model in Google Benchmark, on one thread unless
// a name says otherwise, for profiles and for comparing two builds (benchmark's tools/compare.py). Beside other
// libraries `lowbit bench gemm` measures products.
namespace lowbit::bench {
namespace {

using kernels::Arithmetic;
using kernels::PackedWeight;

struct Case {
  Arithmetic arithmetic;
  int bits;
  std::int64_t group;
  std::int64_t rows, columns, tokens;
  bool pool;  // all threads of the process
};

GemmBenchOptions matrix(std::int64_t rows, std::int64_t columns) {
  GemmBenchOptions options;
  options.rows = rows;
  options.columns = columns;
  return options;
}

std::string name_of(const Case& c) {
  return fmt::format("product/{}/{}x{}/tokens:{}{}",
                     product_name(kernels::arithmetic_name(c.arithmetic), c.bits, c.group), c.rows, c.columns, c.tokens,
                     c.pool ? "/all threads" : "");
}

void run_product(benchmark::State& state, const Case& c) {
  const PackedWeight weight = random_weight(matrix(c.rows, c.columns), c.bits, c.group);
  const std::vector<float> input = random_numbers(c.tokens * c.columns, "bench/input");
  std::vector<float> output(static_cast<std::size_t>(c.tokens * c.rows));
  std::vector<std::byte> space(kernels::workspace_bytes(weight, c.arithmetic, c.tokens, {}));
  const kernels::Product product{
      weight, c.arithmetic, {input.data(), c.tokens, c.columns, c.columns}, {output.data(), c.tokens, c.rows, c.rows},
      {},     space,        c.pool ? pool_executor() : kernels::Executor{}, {}};
  for (auto _ : state) {
    kernels::multiply(product);
    benchmark::DoNotOptimize(output.data());
    benchmark::ClobberMemory();
  }
  const auto runs = static_cast<double>(state.iterations());
  const auto operations = 2.0 * static_cast<double>(c.tokens) * static_cast<double>(c.rows * c.columns);
  state.counters["op/s"] = benchmark::Counter(operations * runs, benchmark::Counter::kIsRate);
  state.counters["bytes/s"] =
      benchmark::Counter(static_cast<double>(weight.bytes()) * runs, benchmark::Counter::kIsRate);
  state.SetLabel(kernels::explain(weight, c.arithmetic, c.tokens).kernel);
}

// One token behind `length` others: heads of SmolLM2-135M.
void attend(benchmark::State& state, std::int64_t length) {
  constexpr std::int64_t kHeads = 9;
  constexpr std::int64_t kKvHeads = 3;
  constexpr std::int64_t kDim = 64;
  DecodeCache cache(1, kKvHeads, kDim, length + 1);
  const std::vector<float> keys = random_numbers(length * kDim, "bench/keys");
  for (std::int64_t head = 0; head < kKvHeads; ++head) cache.put(0, head, length, keys.data(), keys.data(), kDim, kDim);
  cache.advance(length);
  std::vector<float> q = random_numbers(kHeads * kDim, "bench/q");
  std::vector<float> k = random_numbers(kKvHeads * kDim, "bench/k");
  std::vector<float> out(q.size());
  std::vector<float> scratch(static_cast<std::size_t>(kHeads * cache.capacity()));
  const std::vector<float> cos(kDim, std::sqrt(0.5F));
  const DecodeAttention attention{.heads = kHeads,
                                  .kv_heads = kKvHeads,
                                  .dim = kDim,
                                  .scale = 0.125,
                                  .cos = cos.data(),
                                  .sin = cos.data(),
                                  .q = q.data(),
                                  .k = k.data(),
                                  .v = k.data(),
                                  .out = out.data(),
                                  .scratch = scratch.data()};
  for (auto _ : state) {
    attention.run(cache);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
    cache.advance(-1);  // forgets the token again
  }
}

// All products of SmolLM2-135M with 4 bits in groups of 64, and its head with 8, from canonical storage.
void pack_model(benchmark::State& state, bool pool) {
  constexpr std::int64_t kLayers = 30;
  struct Matrix {
    std::int64_t rows, columns, count;
    int bits;
  };
  std::vector<std::pair<kernels::UnpackedWeight, std::int64_t>> weights;
  for (const Matrix& m : {Matrix{576, 576, 2 * kLayers, 4}, Matrix{192, 576, 2 * kLayers, 4},
                          Matrix{1536, 576, 2 * kLayers, 4}, Matrix{576, 1536, kLayers, 4}, Matrix{49152, 576, 1, 8}}) {
    weights.emplace_back(random_weight(matrix(m.rows, m.columns), m.bits, 64).unpack(), m.count);
  }
  const kernels::Executor executor = pool ? pool_executor() : kernels::Executor{};
  for (auto _ : state) {
    for (const auto& [weight, count] : weights) {
      for (std::int64_t i = 0; i < count; ++i) {
        benchmark::DoNotOptimize(PackedWeight::pack(weight.view(), executor).bytes());
      }
    }
  }
}

void normalise(benchmark::State& state, std::int64_t width) {
  const std::vector<float> x = random_numbers(width, "bench/x");
  std::vector<float> out(x.size());
  for (auto _ : state) {
    rms_norm_rows(x.data(), 1, width, x.data(), 1e-5, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}

void activate(benchmark::State& state, std::int64_t width) {
  const std::vector<float> gate = random_numbers(width, "bench/gate");
  std::vector<float> out(gate.size());
  for (auto _ : state) {
    std::copy(gate.begin(), gate.end(), out.begin());
    silu_product(out.data(), gate.data(), width);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}

void add_products() {
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kInt16, Arithmetic::kFloat32}) {
    for (const int bits : {4, 8}) {
      for (const std::int64_t tokens : {1, 4, 256}) {
        for (const bool pool : {false, true}) {
          const Case c{arithmetic, bits, 64, 1536, 576, tokens, pool};
          benchmark::RegisterBenchmark(name_of(c).c_str(), run_product, c)->UseRealTime();
        }
      }
    }
  }
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  add_products();
  for (const std::int64_t length : {512, 2048}) {
    benchmark::RegisterBenchmark(fmt::format("decode attention/all threads/{} tokens", length).c_str(), attend, length)
        ->UseRealTime();
  }
  for (const bool pool : {false, true}) {
    const std::string name = fmt::format("packing SmolLM2-135M{}", pool ? "/all threads" : "");
    benchmark::RegisterBenchmark(name.c_str(), pack_model, pool)->UseRealTime()->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark("rms norm/576", normalise, 576);
  benchmark::RegisterBenchmark("silu times up/1536", activate, 1536);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace lowbit::bench

int main(int argc, char** argv) {
  try {
    return lowbit::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "lowbit_kernels_bench: " << error.what() << "\n";
    return 70;
  }
}
