#include "kernels/cuda/library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "kernels/cuda/schedule.h"
#include "support/error_text.h"

namespace lowbit::kernels::cuda {
namespace {

using lowbit::testing::error_text;
using ::testing::HasSubstr;

template <typename Action>
std::string device_error(const Action& action) {
  return error_text(ErrorCode::kDevice, action);
}

TEST(CudaLibrary, SaysWhatTheFileLacks) {
  EXPECT_THAT(device_error([] { (void)Library::open("liblowbit_no_such.so"); }),
              ::testing::AllOf(HasSubstr("lowbit's CUDA kernels cannot be loaded (liblowbit_no_such.so: "),
                               HasSubstr("build lowbit where CMake finds nvcc, or use 'cpu'")));
  EXPECT_EQ(device_error([] { (void)Library::open("libm.so.6"); }),
            "'libm.so.6' is no library of lowbit's CUDA kernels: it has no 'lowbit_cuda_table'");
  Table table{};
  table.interface = 99;
  EXPECT_EQ(
      device_error([&] { (void)Library(&table, "old.so"); }),
      fmt::format("the CUDA kernels in 'old.so' have interface 99, and this lowbit expects {}; build both from one "
                  "source",
                  kInterface));
}

// A library whose functions fail as `kFailure` says.
template <Failure kFailure>
Library failing() {
  static Table table{};
  table.interface = kInterface;
  table.count_devices = [](std::int32_t* count, Report* report) {
    *count = 1;
    *report = {kFailure, 35, 0, 0, 12020, 13000, "cudaErrorX: something"};
    return kFailure == Failure::kNone || kFailure == Failure::kCapability || kFailure == Failure::kMemory;
  };
  table.describe_device = [](std::int32_t, Device* device, Report* report) {
    *device = {"GTX 1080", 6, 1, 20, 0, 0, 0};
    *report = {Failure::kCapability, 0, 0, 0, 0, 0, ""};
    return false;
  };
  table.allocate = [](std::uint64_t bytes, void**, Report* report) {
    *report = {Failure::kMemory, 2, bytes, 1000, 0, 0, ""};
    return false;
  };
  return {&table, "test"};
}

TEST(CudaLibrary, SaysWhatTheMachineLacks) {
  EXPECT_EQ(device_error([] { (void)failing<Failure::kNoDriver>().device_count(); }),
            "device 'cuda' was asked for, and this machine has no NVIDIA driver; install one, or use 'cpu'");
  EXPECT_EQ(device_error([] { (void)failing<Failure::kOldDriver>().device_count(); }),
            "device 'cuda' was asked for, and the driver is made for CUDA 12.2 while lowbit's kernels were built with "
            "13.0; install a newer driver, or use 'cpu'");
  EXPECT_THAT(device_error([] { (void)failing<Failure::kNoDevice>().device_count(); }),
              HasSubstr("the driver finds no GPU that it may use; look at 'nvidia-smi' and CUDA_VISIBLE_DEVICES"));
  EXPECT_EQ(device_error([] { (void)failing<Failure::kOther>().device_count(); }),
            "CUDA failed while counting GPUs: cudaErrorX: something");
}

TEST(CudaLibrary, SaysWhatTheGpuLacks) {
  EXPECT_EQ(device_error([] { failing<Failure::kCapability>().require_device(0); }),
            "device 'cuda:0' (GTX 1080) has compute capability 6.1, and lowbit's kernels need 8.0 or later; use 'cpu'");
  EXPECT_EQ(device_error([] { failing<Failure::kNone>().require_device(3); }),
            "device 'cuda:3' was asked for, and this machine has 1 usable GPUs; use 'cpu' or 'cuda:0'");
  EXPECT_EQ(
      device_error([] { const DeviceMemory memory(failing<Failure::kMemory>(), 1U << 30); }),
      "the GPU cannot give 1073741824 bytes more (1000 are free) while taking memory; end other programs on it, take "
      "a smaller batch, or use 'cpu'");
}

// The library that was built with this test, if there is one.
TEST(CudaLibrary, AnswersWithoutADriver) {
  const auto bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto path = bin.parent_path() / "lib" / "liblowbit_cuda.so";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no CUDA compiler was found, so there is no library";
  const Library library = Library::open(path.string());
  try {
    GTEST_SKIP() << "this machine has " << library.device_count() << " GPUs";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_THAT(error.what(), HasSubstr("device 'cuda' was asked for, and"));
    EXPECT_THAT(error.what(), HasSubstr("'cpu'"));
  }
}

TEST(CudaSchedule, SplitsByMatrixAndGpuAlone) {
  for (const int rows : {1, 192, 576, 4096, 11008, 49152}) {
    for (const int steps : {1, 2, 18, 128, 344}) {
      for (const int multiprocessors : {8, 108, 132}) {
        Matrix weight{};
        weight.rows = rows;
        weight.steps = steps;
        weight.bits = 4;
        const int splits = choose_splits(weight, multiprocessors);
        EXPECT_GE(splits, 1);
        // Every split has a chunk.
        EXPECT_LE((splits - 1) * kSkinnyWarps, std::max(chunks_of(weight) - 1, 0));
        for (const int tokens : {1, 8, 9, 16, 17, 32, 33, 64, 65, 1000}) {
          const SkinnySchedule schedule = schedule_skinny(weight, tokens, multiprocessors);
          EXPECT_EQ(schedule.splits, splits);
          EXPECT_GE(schedule.row_blocks * kTileRows, rows);
          EXPECT_LT((schedule.row_blocks - 1) * kTileRows, rows);
          EXPECT_GE(schedule.token_blocks * schedule.token_tiles * kTileTokens, tokens);
          EXPECT_LT((schedule.token_blocks - 1) * schedule.token_tiles * kTileTokens, tokens);
        }
      }
    }
  }
}

// Of 132 multiprocessors, each of which holds six blocks.
TEST(CudaSchedule, SplitsWhereBlocksAreFewAndChunksMany) {
  const auto splits = [](int rows, int columns) {
    return choose_splits(rows / kTileRows, columns / (kChunkSteps * kStepColumns), 132);
  };
  EXPECT_EQ(splits(792 * kTileRows, 4096), 1);  // one wave
  EXPECT_EQ(splits(11008, 4096), 1);            // 688 blocks: no splits fill the wave better
  EXPECT_EQ(splits(14336, 4096), 1);            // 896 blocks: more waves of short blocks take longer than two
  EXPECT_EQ(splits(4096, 4096), 3);             // 768 blocks of 792
  EXPECT_EQ(splits(4096, 11008), 3);
  EXPECT_EQ(splits(4096, 14336), 3);
  EXPECT_EQ(splits(3 * 4096, 4096), 1);  // queries, keys and values together
  EXPECT_EQ(splits(4096 + 2 * 1024, 4096), 2);
  EXPECT_EQ(splits(2 * 11008, 4096), 1);
  EXPECT_EQ(splits(2 * 14336, 4096), 1);
}

TEST(CudaSchedule, UsesEveryTokenTileThatIsCompiled) {
  for (const int bits : {2, 3, 4, 8}) {
    std::set<int> used;
    for (int tokens = 1; tokens < 100; ++tokens) {
      Matrix weight{};
      weight.rows = 4096;
      weight.steps = 128;
      weight.bits = bits;
      used.insert(schedule_skinny(weight, tokens, 132).token_tiles);
    }
    for (const int tiles : {1, 2, 4, 8}) EXPECT_EQ(used.contains(tiles), has_token_tiles(bits, tiles)) << bits << tiles;
  }
}

}  // namespace
}  // namespace lowbit::kernels::cuda
