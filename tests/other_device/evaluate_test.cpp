// Scores, divergence, caches and written text of a model on a device that is not the CPU.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "evaluation/byte_model.h"
#include "evaluation/perplexity.h"
#include "lowbit/base/files.h"
#include "lowbit/efficiency/decode.h"
#include "lowbit/model/decoder.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "other_device/device_under_test.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::ByteModelSource;
using testing::device_under_test;

std::shared_ptr<Model> open(bool there, double noise = 0, Model::Residency residency = Model::Residency::kResident) {
  set_thread_count(1);  // products this small lose more by threads than they gain
  ComputeOptions options;
  options.deterministic = !there;
  if (there) options.device = device_under_test();
  return Model::make(std::make_shared<ByteModelSource>(noise, 5), std::make_unique<testing::ByteTokenizer>(), options,
                     residency);
}

std::vector<TokenId> random_tokens(std::uint64_t count, std::uint64_t seed) {
  const Random random(seed, "other device");
  std::vector<TokenId> ids;
  for (std::uint64_t i = 0; i < count; ++i) ids.push_back(static_cast<TokenId>(random.below(i, 257)));
  return ids;
}

// Logits below 40 in size from sums of 48 terms: 1e-4 is far above what float32 rounding in another order makes of
// them.
TEST(ScoreOnOtherDevice, GivesTheCpusLikelihoods) {
  std::vector<ScoreRequest> requests;
  for (std::uint64_t i = 0; i < 9; ++i) requests.push_back({.tokens = random_tokens(20 + i % 3 * 7, i), .first = 5});
  const auto score = [&](const Model& model) {
    const auto progress = silent_progress();
    const Cancellation cancellation;
    return Scorer(model, {}, *progress, cancellation).score(requests);
  };
  const std::vector<Score> expected = score(*open(false));
  for (const auto residency : {Model::Residency::kResident, Model::Residency::kStreamed}) {
    const std::vector<Score> found = score(*open(true, 0, residency));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (std::size_t t = 0; t < expected[i].log_likelihood.size(); ++t) {
        EXPECT_NEAR(found[i].log_likelihood[t], expected[i].log_likelihood[t], 1e-4);
      }
    }
  }
}

// Of the probabilities' difference: as above.
TEST(ScoreOnOtherDevice, GivesTheCpusDivergence) {
  testing::TemporaryFolder folder;
  std::string text;
  for (const TokenId id : random_tokens(700, 3)) text += static_cast<char>('a' + id % 26);
  write_file_atomically(folder / "tale.txt", text);
  const DatasetCatalog catalog({}, {});
  PerplexityOptions options;
  options.dataset = (folder / "tale.txt").string();
  options.split = "test";
  options.protocol = "gptq-32";
  const Perplexity perplexity(options);
  const auto run = [&](bool there) {
    const auto progress = silent_progress();
    const Cancellation cancellation;
    const auto baseline = open(there);
    const auto changed = open(there, 0.1);
    const auto evaluate = [&](const Model& model, bool is_baseline) {
      const Scorer scorer(model, {}, *progress, cancellation);
      return perplexity.run({.scorer = scorer,
                             .datasets = catalog,
                             .reference_folder = folder / (there ? "there" : "here"),
                             .is_baseline = is_baseline,
                             .baseline = is_baseline ? nullptr : baseline.get()});
    };
    (void)evaluate(*baseline, true);
    return evaluate(*changed, false).metrics;
  };
  const std::vector<Metric> expected = run(false);
  const std::vector<Metric> found = run(true);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i].value, expected[i].value, 1e-4 * std::max(1.0, std::abs(expected[i].value)))
        << expected[i].name;
  }
}

TEST(DecodeOnOtherDevice, WritesWhatTheCpuWrites) {
  const std::vector<TokenId> prompt = random_tokens(9, 5);
  const auto written = [&](bool there) {
    return generate(*open(there), prompt, {.max_new_tokens = 12, .ignore_eos = true}, Cancellation()).ids;
  };
  EXPECT_EQ(written(true), written(false));
}

TEST(DecodeOnOtherDevice, ReadsTokenByToken) {
  const at::Tensor ids = make_arange(12, DType::kInt64).mul(19).remainder(257).view({2, 6});
  const auto read = [&](bool there) {
    const auto model = open(there);
    Decoder decoder(*model, 2, 8);
    (void)decoder.read(ids.narrow(1, 0, 4), Cancellation());
    (void)decoder.read(ids.narrow(1, 4, 1), Cancellation());
    return decoder.read(ids.narrow(1, 5, 1), Cancellation());
  };
  EXPECT_LE(read(true).sub(read(false)).abs().max().item<double>(), 1e-4);
}

TEST(DecodeBenchOnOtherDevice, IsBesideTheDevicesOwnRoofline) {
  const DecodeBench bench =
      run_decode_bench(*open(true), {.prompt = 4, .new_tokens = 2, .repetitions = 3}, *silent_progress(), {});
  EXPECT_EQ(bench.machine.device, "privateuseone:0");
  EXPECT_GT(bench.machine.bandwidths.front().second, 0.0);
  EXPECT_GT(bench.machine.operations_per_second("float32"), 0.0);
  EXPECT_GT(bench.timings.front().decode.predicted_seconds, 0.0);
  EXPECT_EQ(bench.energy_obstacle, "'privateuseone:0' has no energy counter");
  EXPECT_THAT(decode_bench_table(bench), ::testing::HasSubstr("Gop/s, float32 products, LibTorch"));
}

}  // namespace
}  // namespace lowbit
