#include "group_emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/operand_ring.h"

// What the model of Hopper's blocks notices, and the protocol of its kernels' stages on it.
namespace lowbit::kernels::cuda {
namespace {

using testing::Grid;
using testing::GroupThread;

// A model that lets everything pass would prove nothing.
std::string failure_of(const std::function<void(GroupThread&)>& kernel, const Grid& grid = {{1, 1, 1}, 128, 1024},
                       std::uint64_t seed = 1) {
  try {
    testing::launch<GroupThread>(grid, seed, kernel);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

alignas(16) constexpr std::uint32_t kNumbers[64] = {1, 2, 3, 4, 5};

void start(GroupThread& thread) {
  if (thread.index() == 0) thread.start_barrier(64, 1);
  thread.sync();
}

TEST(GroupEmulator, NoticesAReadBeforeTheCopyArrived) {
  EXPECT_THAT(failure_of([](GroupThread& thread) {
                start(thread);
                if (thread.index() != 0) return;
                thread.expect(64, 16);
                thread.copy_bulk(0, kNumbers, 16, 64);
                (void)thread.shared<std::uint32_t>().load(0);
              }),
              ::testing::HasSubstr("reads word 0 of shared memory while a copy is on its way"));
}

TEST(GroupEmulator, NoticesWhoWaitsForBytesThatNobodyCopies) {
  EXPECT_THAT(failure_of([](GroupThread& thread) {
                start(thread);
                if (thread.index() == 0) {
                  thread.expect(64, 32);
                  thread.copy_bulk(0, kNumbers, 16, 64);
                }
                thread.wait_barrier(64, 0);
              }),
              ::testing::HasSubstr("every thread waits"));
}

TEST(GroupEmulator, ReadsOperandsWhenTheGroupWaits) {
  std::vector<float> sums(128);
  EXPECT_EQ(failure_of([&](GroupThread& thread) {
              start(thread);
              if (thread.index() == 0) {
                thread.expect(64, 256);
                thread.copy_bulk(0, kNumbers, 256, 64);
              }
              thread.wait_barrier(64, 0);
              float own[2][4] = {};
              std::uint32_t left[4] = {};
              thread.begin_group_products();
              thread.multiply_group(Float16{}, own, left, operand_descriptor(0, 0, 0), false);
              thread.commit_group_products();
              left[0] = as_half(std::nanf(""));  // too early
              thread.wait_group_products<0>();
              sums[static_cast<std::size_t>(thread.index())] = own[0][0];
            }),
            "");
  EXPECT_TRUE(std::isnan(sums[0]));
}

constexpr Grid kPair = {{2, 1, 1}, 128, 1024, 2};

TEST(GroupEmulator, CopiesToAllBlocksOfACluster) {
  std::vector<std::uint32_t> found(2);
  EXPECT_EQ(failure_of(
                [&](GroupThread& thread) {
                  if (thread.index() == 0) thread.start_barrier(64, 1);
                  thread.sync_cluster();
                  const int rank = thread.cluster_rank();
                  if (thread.index() == 0) {
                    thread.expect(64, 32);
                    thread.copy_bulk_to_all(2, 4 * rank, kNumbers + 4 * rank, 16, 64);
                  }
                  thread.wait_barrier(64, 0);
                  if (thread.index() == 0) {
                    auto shared = thread.shared<std::uint32_t>();
                    found[static_cast<std::size_t>(rank)] = 10 * shared.load(0) + shared.load(4);
                  }
                },
                kPair),
            "");
  EXPECT_EQ(found, std::vector<std::uint32_t>(2, 10 * kNumbers[0] + kNumbers[4]));
}

TEST(GroupEmulator, NoticesACopyIntoWhatANeighbourStillMultiplies) {
  EXPECT_THAT(failure_of(
                  [](GroupThread& thread) {
                    start(thread);
                    if (thread.index() == 0) {
                      thread.expect(64, 256);
                      thread.copy_bulk(0, kNumbers, 256, 64);
                    }
                    thread.wait_barrier(64, 0);
                    float own[2][4] = {};
                    const std::uint32_t left[4] = {};
                    thread.begin_group_products();
                    thread.multiply_group(Float16{}, own, left, operand_descriptor(0, 0, 0), false);
                    thread.commit_group_products();
                    thread.sync_cluster();
                    if (thread.index() == 0 && thread.cluster_rank() == 1) {
                      thread.copy_bulk_to_all(2, 0, kNumbers, 16, 64);
                    }
                    thread.sync_cluster();
                    thread.wait_group_products<0>();
                  },
                  kPair),
              ::testing::HasSubstr("of shared memory while a copy is on its way"));
}

// Seven stages through two places, by one warp that copies and two that read; in blocks of a cluster each copies a part
// for all. `careless` readers say that they have read before they do.
template <int kClusterBlocks>
std::string failure_of_ring(std::uint64_t seed, bool careless) {
  constexpr int kStageWords = 16;
  constexpr int kCount = 7;
  using Ring = OperandRing<8, 2, kStageWords, 2, kClusterBlocks>;
  alignas(16) static std::uint32_t source[kCount * kStageWords];
  for (std::uint32_t i = 0; i < kCount * kStageWords; ++i) source[i] = 1000 + i;
  const Grid grid = {{2 * kClusterBlocks, 1, 1}, 96, 4 * Ring::kEnd, kClusterBlocks};
  const auto kernel = [&](GroupThread& thread) {
    Ring::prepare(thread);
    if (thread.warp() == 2) {
      if (thread.index() % kLanes == 0) {
        typename Ring::Place place;
        for (int i = 0; i < kCount; ++i, place.advance()) Ring::fill(thread, source + i * kStageWords, place);
      }
    } else {
      typename Ring::Place place;
      for (int i = 0; i < kCount; ++i, place.advance()) {
        Ring::wait(thread, place);
        if (careless) Ring::release(thread, place.stage);
        const int word = thread.index() % kStageWords;
        const std::uint32_t value = thread.shared<std::uint32_t>().load(Ring::stage_at(place.stage) + word);
        if (value != source[i * kStageWords + word]) throw std::runtime_error("another stage's number");
        if (!careless) Ring::release(thread, place.stage);
      }
    }
    Ring::leave(thread);
  };
  return failure_of(kernel, grid, seed);
}

TEST(OperandRing, HandsEveryStageOnInAnyOrderOfThreads) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(failure_of_ring<1>(seed, false), "") << seed;
    EXPECT_EQ(failure_of_ring<2>(seed, false), "") << seed;
  }
}

TEST(OperandRing, LosesNumbersOfReadersThatReleaseTooEarly) {
  int noticed = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    if (!failure_of_ring<1>(seed, true).empty()) ++noticed;
    if (!failure_of_ring<2>(seed, true).empty()) ++noticed;
  }
  EXPECT_GT(noticed, 50);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
