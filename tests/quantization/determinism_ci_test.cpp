// Artifacts and statistics of a real model are the same bits for any number of threads, streamed or not, in one go or
// in pieces.
#include <gtest/gtest.h>

#include <set>

#include "lowbit/base/files.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

struct NoOptions {
  void visit(FieldVisitor&) {}
};

// Hashes what a solver is handed.
class StatisticsHash : public WeightSolver {
 public:
  explicit StatisticsHash(std::map<std::string, Hash>& seen) : seen_(seen) {}
  StatisticsNeeds needs() const override {
    StatisticsNeeds needs;
    needs.hessian = needs.cross = needs.channel_range = true;
    needs.sample_tokens = 32;
    return needs;
  }
  GridSpec grid() const override {
    GridSpec grid;
    grid.bits = 3;
    grid.group = 4;
    return grid;
  }
  QuantizedWeight solve(const LinearProblem& problem) const override {
    const Statistics& s = *problem.statistics;
    Hasher hasher;
    for (const at::Tensor& tensor :
         {s.hessian(), s.cross(), s.channel_min(), s.channel_max(), s.channel_absmean(), s.sample()}) {
      const at::Tensor values = tensor.contiguous();
      hasher.add(hash_of(bytes_of(values)));
    }
    seen_[problem.layer] = hasher.finish();
    return quantize_to_nearest(problem.weight, grid());
  }
  int version() const override { return 1; }

 private:
  std::map<std::string, Hash>& seen_;
};

class Determinism : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    const auto model = testing::shared_data("models/stories260K");
    const auto text = testing::shared_data("data/tinystories/tinystories_sample.txt");
    if (!model || !text) GTEST_SKIP() << "no models/stories260K or data/tinystories in the test data";
    model_ = *model;
    const std::vector<TokenId> ids =
        open(Model::Residency::kResident)->tokenizer().encode(read_file(*text).substr(0, 20000));
    // Lengths that fill no tile and no chunk of 512 rows evenly.
    std::size_t begin = 0;
    for (const std::size_t length : {100, 64, 511, 33, 129}) {
      calibration_.sequences.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                          ids.begin() + static_cast<std::ptrdiff_t>(begin + length));
      begin += length;
    }
    calibration_.options.name = "stories";
    calibration_.hash = hash_of("stories");
  }
  void TearDown() override { set_thread_count(threads_); }

  std::shared_ptr<Model> open(Model::Residency residency) const {
    ComputeOptions options;
    options.dtype = GetParam();
    return Model::open(model_, options, residency);
  }

  std::vector<std::string> artifact(const std::string& recipe, int threads, Model::Residency residency) {
    set_thread_count(threads);
    const auto model = open(residency);
    const std::filesystem::path output = folder_ / std::to_string(++outputs_);
    const QuantizeRequest request{model, testing::recipe_of(recipe, registries_), &calibration_, 0, output};
    (void)quantize(request, *silent_progress(), Cancellation());
    std::vector<std::string> files;
    for (const auto& file : find_safetensors_files(output)) files.push_back(read_file(file));
    return files;
  }

  std::filesystem::path model_;
  testing::TemporaryFolder folder_;
  CalibrationSet calibration_;
  QuantizationRegistries registries_ = builtin_quantization();
  int outputs_ = 0;
  int threads_ = thread_count();
};

TEST_P(Determinism, HoldsArtifactsForAnyThreads) {
  for (const char* recipe : {"[{gptq: {bits: 3, group: 4, act_order: true}}]",
                             "[{driver: {true_sequential: false}}, {gptq: {bits: 4, group: 64, clip: mse}}]",
                             "[{rtn: {bits: 4, group: 4, clip: mse}}]"}) {
    const std::vector<std::string> expected = artifact(recipe, 1, Model::Residency::kResident);
    ASSERT_EQ(expected.size(), 6U);  // five blocks and the rest
    EXPECT_TRUE(artifact(recipe, 2, Model::Residency::kResident) == expected) << recipe;
    EXPECT_TRUE(artifact(recipe, 2, Model::Residency::kStreamed) == expected) << recipe;
  }
}

TEST_P(Determinism, HoldsStatisticsForAnyThreads) {
  std::map<std::string, Hash> seen;
  registries_.solvers.add<NoOptions>("statistics", "", "",
                                     [&](const NoOptions&) { return std::make_unique<StatisticsHash>(seen); });
  (void)artifact("[{statistics: {}}]", 1, Model::Residency::kResident);
  const std::map<std::string, Hash> expected = seen;
  EXPECT_EQ(expected.size(), 35U);
  std::set<Hash> distinct;
  for (const auto& [layer, hash] : expected) distinct.insert(hash);
  EXPECT_EQ(distinct.size(), 20U);  // four groups of linears in each of five blocks
  (void)artifact("[{statistics: {}}]", 2, Model::Residency::kStreamed);
  EXPECT_TRUE(seen == expected);
}

INSTANTIATE_TEST_SUITE_P(Types, Determinism, ::testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

}  // namespace
}  // namespace lowbit
