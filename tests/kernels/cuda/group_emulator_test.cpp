#include "group_emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

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

TEST(GroupEmulator, OrdersWhatAGroupWroteByItsOwnBarrierAlone) {
  const auto kernel = [](bool meets, int other) {
    return [meets, other](GroupThread& thread) {
      auto shared = thread.shared<std::uint32_t>();
      shared.store(thread.index(), 1);
      if (meets) thread.sync_group();
      (void)shared.load((thread.index() + other) % 256);
    };
  };
  const Grid grid = {{1, 1, 1}, 256, 2048};
  const auto reads_too_early = ::testing::HasSubstr("of shared memory");
  EXPECT_THAT(failure_of(kernel(false, 32), grid), reads_too_early);
  EXPECT_THAT(failure_of(kernel(true, 128), grid), reads_too_early);
  const auto within_group = [](GroupThread& thread) {
    auto shared = thread.shared<std::uint32_t>();
    shared.store(thread.index(), 1);
    thread.sync_group();
    (void)shared.load(thread.index() ^ 32);
  };
  EXPECT_EQ(failure_of(within_group, grid), "");
}

// What a lane's registers hold of a matrix is what it holds of a product's sums: two columns side by side of a row.
TEST(GroupEmulator, StoresColumnsAsLines) {
  std::vector<std::uint32_t> found(4 * 8 * 4);
  EXPECT_EQ(failure_of([&](GroupThread& thread) {
              const int lane = thread.index() % kLanes;
              if (thread.warp() > 0) return;
              std::uint32_t matrices[4] = {};
              for (int m = 0; m < 4; ++m) {
                for (int i = 0; i < 2; ++i) {
                  const Element at = element_of_c(lane, i);
                  matrices[m] |= static_cast<std::uint32_t>(m * 100 + at.row * 8 + at.column) << (16 * i);
                }
              }
              thread.store_columns(lane * 4, matrices);
              thread.sync_warp();
              for (int w = 0; w < 4; ++w) {
                found[static_cast<std::size_t>(lane * 4 + w)] = thread.shared<std::uint32_t>().load(lane * 4 + w);
              }
            }),
            "");
  for (int m = 0; m < 4; ++m) {
    for (int column = 0; column < 8; ++column) {
      for (int row = 0; row < 8; ++row) {
        const std::uint32_t word = found[static_cast<std::size_t>((m * 8 + column) * 4 + row / 2)];
        EXPECT_EQ(word >> (16 * (row % 2)) & 0xFFFFU, static_cast<std::uint32_t>(m * 100 + row * 8 + column));
      }
    }
  }
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

// Tiles of several lengths, shorter than the lag and longer, through four stages. Nobody of the second group begins a
// tile before the first group has come to stage kLag of it, or has ended it; no number is another stage's.
TEST(TurnRing, LetsTheSecondGroupBeginBehindTheFirst) {
  constexpr int kStageWords = 16;
  constexpr int kLag = 3;
  constexpr int kTiles[] = {1, 9, 2, 3, 4, 7, 1, 1, 1, 5};
  using Ring = TurnRing<8, 4, kStageWords, 8, 1, kLag>;
  int count = 0;
  for (const int stages : kTiles) count += stages;
  std::vector<std::uint32_t> numbers(static_cast<std::size_t>(count * kStageWords + 4));
  std::iota(numbers.begin(), numbers.end(), 0U);
  const auto past = reinterpret_cast<std::uintptr_t>(numbers.data()) % 16 / 4;
  const std::uint32_t* source = numbers.data() + (4 - past) % 4;
  int late = 0;  // beginnings with the first group still at the tile: turns that pay
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<int> begun(std::size(kTiles) * 8, -1);  // stages of each tile that a warp has come to
    const auto kernel = [&](GroupThread& thread) {
      Ring::prepare(thread);
      typename Ring::Place place;
      if (thread.warp() == 8) {
        if (thread.index() % kLanes != 0) return;
        for (int i = 0; i < count; ++i, place.advance()) Ring::fill(thread, source + i * kStageWords, place);
        return;
      }
      const int warp = thread.warp();
      const int first_lane = thread.index() % kLanes == 0 ? 1 : 0;
      int stage = 0;
      for (int tile = 0; tile < static_cast<int>(std::size(kTiles)); ++tile) {
        int* of_tile = begun.data() + tile * 8;
        Ring::begin_tile(thread, warp / 4, tile, place);
        for (int other = 0; warp >= 4 && other < 4; ++other) {
          const int wanted = std::min(kLag, kTiles[tile] - 1);
          if (of_tile[other] < wanted) throw std::runtime_error("the second group is ahead");
          if (first_lane == 1 && of_tile[other] < kTiles[tile] - 1) ++late;
        }
        for (int s = 0; s < kTiles[tile]; ++s, ++stage, place.advance()) {
          if (first_lane == 1) of_tile[warp] = s;
          Ring::wait(thread, place);
          const int word = thread.index() % kStageWords;
          const std::uint32_t value = thread.shared<std::uint32_t>().load(Ring::stage_at(place.stage) + word);
          if (value != source[stage * kStageWords + word]) throw std::runtime_error("another stage's number");
          Ring::release(thread, place.stage);
        }
        Ring::end_tile(thread, place);
      }
    };
    EXPECT_EQ(failure_of(kernel, {{1, 1, 1}, 9 * 32, 4 * Ring::kEnd}, seed), "") << seed;
  }
  EXPECT_GT(late, 0);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
