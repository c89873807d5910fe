#include "lowbit/efficiency/gemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/base/json.h"
#include "lowbit/tensor/packed.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

GemmBenchOptions small_options() {
  GemmBenchOptions options;
  options.rows = 64;
  options.columns = 96;
  options.tokens = {7};
  options.bits = {4};
  options.groups = {-1};
  options.repetitions = 3;
  return options;
}

TEST(GemmBench, TimesEveryArithmeticAndEachOfLibTorchsTypes) {
  const GemmBench bench = run_gemm_bench(small_options(), *silent_progress());
  std::vector<std::string> names;
  for (const GemmTiming& timing : bench.timings) {
    names.push_back(timing.name);
    EXPECT_EQ(timing.tokens, 7);
    EXPECT_FALSE(timing.cold);
    EXPECT_EQ(timing.operations, 2.0 * 7 * 64 * 96);
    EXPECT_GT(timing.seconds.fastest, 0.0);
    EXPECT_LE(timing.seconds.fastest, timing.seconds.median);
    EXPECT_LE(timing.seconds.median, timing.seconds.slowest);
    EXPECT_GT(timing.reading_seconds, 0.0) << timing.name;
    const bool known = kernels::peak_of(bench.peaks, timing.arithmetic) > 0;
    EXPECT_EQ(timing.operating_seconds > 0, known) << timing.name;
  }
  EXPECT_THAT(
      names, ::testing::ElementsAre("LibTorch float32", "LibTorch bfloat16", "LibTorch int8", "int8, 4 bits, one a row",
                                    "int16, 4 bits, one a row", "float32, 4 bits, one a row",
                                    "bfloat16, 4 bits, one a row", "int8_two_level, 4 bits, one a row"));
  EXPECT_GT(bench.warm_bandwidth, 0.0);
  EXPECT_GT(bench.cold_bandwidth, 0.0);
  for (const kernels::UnitPeak& peak : bench.peaks) EXPECT_GT(peak.operations_per_second, 0.0) << peak.name;
}

TEST(GemmBench, WritesWhatItMeasured) {
  GemmBench bench;
  bench.options = small_options();
  bench.processor = "Some Processor";
  bench.threads = 2;
  bench.peaks = {{"unit", 5e9}};
  const Spread second = {0.001, 0.001, 0.001};
  bench.timings = {
      {"LibTorch float32", "", 7, false, 24576, {0.002, 0.001, 0.003}, 0.004, 86016, "float32", 0.0005, 0.001},
      {"int8, 4 bits, group 32", "avx2: panels of bytes", 7, false, 3072, second, 0.002, 86016, "int8", 9e-4, 1e-4},
      {"bfloat16, 4 bits", "", 7, false, 3072, second, 0.002, 86016, "bfloat16", 9e-4, 0}};
  const Json json = parse_json(gemm_bench_json(bench), "bench");
  EXPECT_EQ(json["timings"][1]["median_seconds"], 0.001);
  EXPECT_EQ(json["timings"][1]["processor_seconds"], 0.002);
  EXPECT_EQ(json["timings"][1]["weight"], "warm");
  EXPECT_EQ(json["peaks_of_one_thread"]["unit"], 5e9);
  EXPECT_EQ(json["timings"][1]["reading_seconds"], 9e-4);
  EXPECT_EQ(json["timings"][1]["operating_seconds"], 1e-4);
  const std::string table = gemm_bench_table(bench);
  EXPECT_THAT(table, ::testing::HasSubstr(" 50 units  1.00\n"));
  EXPECT_THAT(table, ::testing::HasSubstr(" 90 reads  2.00, avx2: panels of bytes\n"));
  EXPECT_THAT(table, ::testing::HasSubstr("   2.00\n")) << "nothing is known of what bounds the last one";
}

// 16 bits are two products of bytes, which matrix tiles do not make.
TEST(GemmBench, AnArithmeticHasThePeakOfTheUnitsThatCanMakeIt) {
  const std::vector<kernels::UnitPeak> peaks = {{"float32 fma, AVX2", 1e9},
                                                {"float32 fma, AVX-512", 2e9},
                                                {"int16 products into int32, AVX2", 3e9},
                                                {"int8 products into int32, AVX-512 VNNI", 8e9},
                                                {"int8 products into int32, AMX", 32e9},
                                                {"bfloat16 products into float32, AMX", 16e9}};
  EXPECT_EQ(kernels::peak_of(peaks, "float32"), 2e9);
  EXPECT_EQ(kernels::peak_of(peaks, "int16"), 4e9);
  EXPECT_EQ(kernels::peak_of(peaks, "int8"), 32e9);
  EXPECT_EQ(kernels::peak_of(peaks, "int8_two_level"), 32e9);
  EXPECT_EQ(kernels::peak_of(peaks, "bfloat16"), 16e9);
  EXPECT_EQ(kernels::peak_of(peaks, "fp4"), 0.0);
}

TEST(GemmBench, RatesOfUnitsAreThoseOfAllThreads) {
  for (const kernels::UnitPeak& unit : kernels::unit_rates(pool_executor())) {
    EXPECT_GT(unit.operations_per_second, 0.0) << unit.name;
  }
  EXPECT_EQ(kernels::unit_rates(pool_executor()).size(), kernels::unit_peaks().size());
}

TEST(GemmBench, WritesTheDeviceThatItMeasured) {
  GemmBench bench;
  bench.options = small_options();
  bench.processor = "Some Processor";
  bench.device = "Some GPU, cuda:0";
  bench.warm_bandwidth = 2e12;
  bench.cold_bandwidth = 1e12;
  bench.peaks = {{"bfloat16 products, LibTorch", 7e14}};
  const Json json = parse_json(gemm_bench_json(bench), "bench");
  EXPECT_EQ(json["device"], "Some GPU, cuda:0");
  EXPECT_EQ(json["peaks_of_the_device"]["bfloat16 products, LibTorch"], 7e14);
  EXPECT_THAT(gemm_bench_table(bench),
              ::testing::StartsWith("64 x 96 on Some GPU, cuda:0, launched by Some Processor, load 0.0\n"
                                    "copies: 2000.0 GB/s as warm as the weights, 1000.0 GB/s from memory\n"
                                    "peak: 700000 G/s, bfloat16 products, LibTorch\n"));
}

TEST(GemmBench, RefusesOptionsThatMakeNoSense) {
  const auto text = [](auto&& spoil) {
    GemmBenchOptions options = small_options();
    spoil(options);
    return testing::error_text(ErrorCode::kConfig, [&] { (void)run_gemm_bench(options, *silent_progress()); });
  };
  EXPECT_EQ(text([](GemmBenchOptions& o) { o.rows = 0; }),
            "bench gemm: the matrix is 0 x 96, expected 1 to 65536 each");
  EXPECT_EQ(text([](GemmBenchOptions& o) { o.repetitions = 2; }),
            "bench gemm: 2 repetitions, expected at least 3 for a median");
  EXPECT_EQ(text([](GemmBenchOptions& o) { o.tokens = {0}; }), "bench gemm: 0 tokens, expected 1 to 65536");
  EXPECT_EQ(text([](GemmBenchOptions& o) { o.bits = {9}; }), "bench gemm: 9 bits, expected 2 to 8");
  EXPECT_EQ(text([](GemmBenchOptions& o) { o.groups = {0}; }),
            "bench gemm: groups of 0 columns, expected at least 1, or -1 for one a row");
  EXPECT_EQ(
      text([](GemmBenchOptions& o) {
        o.device = at::Device(at::kPrivateUse1, 0);
        o.backend = "avx2";
      }),
      "bench gemm: backend 'avx2' is one of the CPU's, and the device is 'privateuseone:0'; leave one of them out");
  EXPECT_THAT(text([](GemmBenchOptions& o) { o.backend = "sse9"; }),
              ::testing::StartsWith("kernels: unknown backend 'sse9' in the option; this build has 'reference'"));
}

}  // namespace
}  // namespace lowbit
