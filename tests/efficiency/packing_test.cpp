#include "lowbit/efficiency/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/base/json.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

PackingBenchOptions small_options() {
  return {.rows = 64, .columns = 96, .bits = {4, 8}, .groups = {32, -1}, .repetitions = 3};
}

TEST(PackingBench, TimesEveryWeightBesideCopies) {
  const PackingBench bench = run_packing_bench(small_options(), *silent_progress());
  ASSERT_EQ(bench.timings.size(), 4U);
  for (const PackingTiming& timing : bench.timings) {
    for (const Spread& spread : {timing.packing, timing.fresh_copy, timing.warm_copy}) {
      EXPECT_GT(spread.fastest, 0.0);
      EXPECT_LE(spread.fastest, spread.median);
      EXPECT_LE(spread.median, spread.slowest);
    }
  }
  // A byte a code and two floats for each of three groups a row; half a byte, a float16 and a byte of zero packed.
  EXPECT_GE(bench.timings[0].bytes, 64 * 96 + 64 * 3 * 8 + 64 * 96 / 2 + 64 * 3 * 3);
  EXPECT_LE(bench.timings[0].bytes, 64 * 96 + 64 * 3 * 8 + 64 * 96 / 2 + 64 * 3 * 3 + 4 * 128);  // padding of 4 blocks
  EXPECT_GT(bench.timings[2].bytes, bench.timings[0].bytes);
}

// 4 MiB of codes in two pages of 2 MiB each for the system to hand over at once; in pages of 4 KiB 512 each.
TEST(PackingBench, CountsThePagesThatTheSystemHandsOver) {
  const PackingBench bench = run_packing_bench(
      {.rows = 2048, .columns = 2048, .bits = {8}, .groups = {-1}, .repetitions = 3}, *silent_progress());
  EXPECT_GE(bench.timings[0].page_faults, 2.0);
}

TEST(PackingBench, WritesWhatItMeasured) {
  PackingBench bench;
  bench.options = small_options();
  bench.processor = "Some Processor";
  bench.threads = 2;
  bench.timings = {{4, 32, 20'000'000, {0.004, 0.003, 0.005}, {0.006, 0.005, 0.007}, {0.002, 0.002, 0.002}, 12}};
  const Json json = parse_json(packing_bench_json(bench), "bench");
  EXPECT_EQ(json["timings"][0]["packing_seconds"]["median"], 0.004);
  EXPECT_EQ(json["timings"][0]["page_faults"], 12.0);
  EXPECT_THAT(packing_bench_table(bench),
              ::testing::HasSubstr("4 bits, group 32           20.0      4.000     25     5.0      12"
                                   "             150 %             50 %\n"));
}

TEST(PackingBench, RefusesOptionsThatMakeNoSense) {
  const auto text = [](auto&& spoil) {
    PackingBenchOptions options = small_options();
    spoil(options);
    return testing::error_text(ErrorCode::kConfig, [&] { (void)run_packing_bench(options, *silent_progress()); });
  };
  EXPECT_EQ(text([](PackingBenchOptions& o) { o.columns = 0; }),
            "bench packing: the matrix is 64 x 0, expected 1 to 65536 each");
  EXPECT_EQ(text([](PackingBenchOptions& o) { o.repetitions = 2; }),
            "bench packing: 2 repetitions, expected at least 3 for a median");
  EXPECT_EQ(text([](PackingBenchOptions& o) { o.bits = {9}; }), "bench packing: 9 bits, expected 2 to 8");
  EXPECT_EQ(text([](PackingBenchOptions& o) { o.groups = {0}; }),
            "bench packing: groups of 0 columns, expected at least 1, or -1 for one a row");
}

}  // namespace
}  // namespace lowbit
