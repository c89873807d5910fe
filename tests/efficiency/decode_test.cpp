#include "lowbit/efficiency/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "efficiency/energy.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "model/small_model.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using lowbit::testing::error_text;
using lowbit::testing::SmallModel;
using lowbit::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class DecodeBenchRun : public ::testing::Test {
 protected:
  DecodeBenchRun() : model_(Model::make(std::make_shared<SmallModel>(folder_.path()), nullptr, {})) {}
  TemporaryFolder folder_;
  std::shared_ptr<Model> model_;
};

TEST_F(DecodeBenchRun, TimesEveryRepetitionOfEveryBatch) {
  const DecodeBench bench = run_decode_bench(
      *model_, {.prompt = 5, .new_tokens = 3, .batches = {1, 2}, .repetitions = 4}, *silent_progress(), {});
  ASSERT_EQ(bench.timings.size(), 2U);
  for (const DecodeTiming& timing : bench.timings) {
    EXPECT_EQ(timing.prefill_seconds.size(), 4U);
    EXPECT_EQ(timing.decode_seconds.size(), 4U);
    EXPECT_GT(timing.decode_rate(bench.options).slowest, 0.0);
    EXPECT_LE(timing.decode_rate(bench.options).median, timing.decode_rate(bench.options).fastest);
    EXPECT_EQ(timing.detour, "");
    EXPECT_EQ(timing.cache_bytes,
              2 * 2 * timing.batch * 8 * 32 * 4);  // keys and values, layers, tokens, width, float32
  }
  // Four projections of 32 x 32 and three of 32 x 44 in two blocks, and the head of 20 x 32.
  EXPECT_EQ(bench.weight_bytes, 4 * (2 * (4 * 32 * 32 + 3 * 32 * 44) + 20 * 32));
  EXPECT_GT(bench.peak_memory, 0);
}

// 2 operations a weight and token, and 4 a query head's number, key and layer.
TEST_F(DecodeBenchRun, CountsWhatAPhaseComputes) {
  const DecodeBench bench = run_decode_bench(*model_, {.prompt = 5, .new_tokens = 3, .batches = {2}, .repetitions = 3},
                                             *silent_progress(), {});
  const double linears = 2 * (4 * 32 * 32 + 3 * 32 * 44);
  const PhaseWork& prefill = bench.timings[0].prefill;
  EXPECT_EQ(prefill.operations, 2 * 2 * (5 * linears + 20 * 32) + 4 * 2 * 2 * 32 * 5 * 3.0);
  const PhaseWork& decode = bench.timings[0].decode;
  EXPECT_EQ(decode.operations, 2 * 2 * (linears + 20 * 32) + 4 * 2 * 2 * 32 * 7.0);
  EXPECT_EQ(decode.weight_bytes, static_cast<double>(bench.weight_bytes));
  EXPECT_GE(decode.predicted_seconds, decode.weight_bytes / bench.machine.bandwidths.front().second);
}

TEST_F(DecodeBenchRun, WritesWhatItMeasured) {
  const DecodeBench bench =
      run_decode_bench(*model_, {.prompt = 5, .new_tokens = 3, .repetitions = 3}, *silent_progress(), {});
  const Json json = parse_json(decode_bench_json(bench), "bench");
  EXPECT_EQ(json["timings"][0]["decode_seconds"].get<std::vector<double>>(), bench.timings[0].decode_seconds);
  EXPECT_EQ(json["weight_bytes_per_token"], bench.weight_bytes);
  const std::string table = decode_bench_table(bench);
  EXPECT_THAT(table, HasSubstr("5 tokens of prompt, 3 new ones, 3 repetitions; a token reads 0.1 MB of weights"));
  EXPECT_THAT(table, Not(HasSubstr("through LibTorch between products")));
  const auto streamed =
      Model::make(std::make_shared<SmallModel>(folder_.path()), nullptr, {}, Model::Residency::kStreamed);
  EXPECT_THAT(decode_bench_table(run_decode_bench(*streamed, {.prompt = 5, .new_tokens = 3, .repetitions = 3},
                                                  *silent_progress(), {})),
              HasSubstr("through LibTorch between products: blocks are streamed"));
}

// A program in llama-bench's place, which knows the tests by their arguments.
TEST_F(DecodeBenchRun, RunsARivalInTurn) {
  const std::filesystem::path program = folder_.path() / "llama-bench";
  write_file_atomically(program,
                        "#!/bin/sh\n[ \"$2\" = q4.gguf ] && [ \"$6\" = 1 ] || exit 3\n"
                        "if [ \"${10}\" = 5 ]; then echo '[{\"avg_ts\": 100.0}]'\n"
                        "else [ \"${12} ${14} ${15} ${16}\" = '3 5 -fa 1' ] && echo '[{\"avg_ts\": 50.0}]'; fi\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  DecodeBenchOptions options{.prompt = 5, .new_tokens = 3, .batches = {1, 2}, .repetitions = 3};
  options.llama = {program.string(), "q4.gguf", {"-fa", "1"}};
  const DecodeBench bench = run_decode_bench(*model_, options, *silent_progress(), {});
  ASSERT_EQ(bench.timings[0].rival.size(), 3U);
  EXPECT_TRUE(bench.timings[1].rival.empty());
  EXPECT_EQ(bench.timings[0].rival[2].prefill, 100.0);
  EXPECT_EQ(bench.timings[0].rival[2].decode, 50.0);
  const Spread ratio = bench.timings[0].decode_ratio(options);
  EXPECT_EQ(ratio.median, bench.timings[0].decode_rate(options).median / 50);
  EXPECT_EQ(parse_json(decode_bench_json(bench), "bench")["timings"][0]["llama_bench"][1]["prefill_tokens_per_second"],
            100.0);
  EXPECT_THAT(decode_bench_table(bench), HasSubstr("times as fast as llama.cpp with the prompt"));
}

TEST_F(DecodeBenchRun, SaysWhyARivalCannotRun) {
  DecodeBenchOptions options{.prompt = 5, .new_tokens = 3, .repetitions = 3};
  const auto text = [&](ErrorCode code) {
    return error_text(code, [&] { (void)run_decode_bench(*model_, options, *silent_progress(), {}); });
  };
  options.llama.program = (folder_.path() / "none").string();
  EXPECT_EQ(text(ErrorCode::kConfig),
            "efficiency: llama-bench is '" + options.llama.program + "' and its model '', expected both or none");
  options.llama.model = "q4.gguf";
  EXPECT_EQ(text(ErrorCode::kIo),
            "cannot start '" + options.llama.program + "': No such file or directory; name llama.cpp's llama-bench");
  options.llama.program = "false";
  EXPECT_EQ(text(ErrorCode::kData), "'false' failed with status 1; its own message says why");
  options.llama.program = "true";
  EXPECT_THAT(text(ErrorCode::kData), HasSubstr("llama-bench"));
}

TEST_F(DecodeBenchRun, RefusesWhatMakesNoSense) {
  const auto text = [&](const DecodeBenchOptions& options) {
    return error_text(ErrorCode::kConfig, [&] { (void)run_decode_bench(*model_, options, *silent_progress(), {}); });
  };
  EXPECT_EQ(text({.prompt = 0}), "efficiency: a prompt of 0 and 64 new tokens, expected at least 1 each");
  EXPECT_EQ(text({.prompt = 60, .new_tokens = 5}),
            "efficiency: 60 tokens of prompt and 5 new ones, the model's context is 64");
  EXPECT_EQ(text({.prompt = 4, .new_tokens = 4, .repetitions = 2}),
            "efficiency: 2 repetitions, expected at least 3 for a median");
  EXPECT_EQ(text({.prompt = 4, .new_tokens = 4, .batches = {0}}), "efficiency: a batch of 0, expected 1 to 1024");
}

TEST(MachinePeaks, TakeAnInt16ProductForTwoOfBytesWhereThatIsFaster) {
  MachinePeaks peaks;
  peaks.threads = 2;
  peaks.units = {{"float32 fma, X", 10}, {"int16 products into int32, X", 30}, {"int8 products into int16, X", 80}};
  EXPECT_EQ(peaks.operations_per_second("float32"), 20);
  EXPECT_EQ(peaks.operations_per_second("int8"), 160);
  EXPECT_EQ(peaks.operations_per_second("int16"), 80);
  EXPECT_EQ(peaks.operations_per_second("fp4"), 0);
}

TEST(EnergyMeter, AddsUpPackagesAndPutsAWrappedCounterRight) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const char* file, const char* text) {
    std::filesystem::create_directories(folder / name);
    write_file_atomically(folder / name / file, text);
  };
  for (const char* name : {"intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"}) {
    write(name, "energy_uj", "9000000\n");
    write(name, "max_energy_range_uj", "10000000\n");
  }
  EnergyMeter meter(folder.path());
  EXPECT_EQ(meter.obstacle(), "");
  meter.start();
  write("intel-rapl:0", "energy_uj", "9500000\n");
  write("intel-rapl:1", "energy_uj", "1000000\n");    // wrapped: 2 J
  write("intel-rapl:0:0", "energy_uj", "9900000\n");  // a part of a package
  EXPECT_DOUBLE_EQ(meter.joules(), 2.5);
}

TEST(EnergyMeter, SaysWhyItReadsNothing) {
  const TemporaryFolder folder;
  EXPECT_EQ(EnergyMeter(folder.path()).obstacle(), "'" + folder.path().string() + "' has no energy counter");
}

}  // namespace
}  // namespace lowbit
