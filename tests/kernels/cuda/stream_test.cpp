#include "kernels/cuda/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace lowbit::kernels::cuda {
namespace {

struct Piece {
  int worker;
  int first;
  int count;
};

void check(const Stream& stream, int least_chunks) {
  SCOPED_TRACE(::testing::Message() << stream.row_tiles << " x " << stream.token_tiles << " tiles of " << stream.chunks
                                    << " chunks, " << stream.workers << " workers");
  std::map<int, std::vector<Piece>> pieces;  // of tiles
  std::set<std::pair<int, int>> places;
  std::vector<int> loads;
  for (int worker = 0; worker < stream.workers; ++worker) {
    const Share share(stream, worker);
    int load = 0;
    for (int number = 0;; ++number) {
      const Segment segment = share.segment(number);
      if (segment.count == 0) break;
      ASSERT_LT(segment.row, stream.row_tiles);
      ASSERT_LT(segment.token, stream.token_tiles);
      if (segment.first == 0) {
        EXPECT_TRUE(places.emplace(segment.row, segment.token).second);
      }
      pieces[segment.tile].push_back({worker, segment.first, segment.count});
      load += segment.count;
    }
    loads.push_back(load);
  }
  const int whole = stream.whole * stream.chunks;
  for (int worker = 0; worker < stream.workers; ++worker) {
    const int shared = stream.shared_tiles() * stream.chunks;
    const int least = worker < stream.sharers ? shared / stream.sharers : 0;
    const int load = loads[static_cast<std::size_t>(worker)] - whole;
    EXPECT_GE(load, least);
    EXPECT_LE(load, worker < stream.sharers ? least + 1 : 0);
    EXPECT_TRUE(worker >= stream.sharers || least >= std::min(least_chunks, stream.chunks)) << "worker " << worker;
  }
  ASSERT_EQ(pieces.size(), static_cast<std::size_t>(stream.tiles()));
  ASSERT_EQ(places.size(), pieces.size());
  for (const auto& [tile, of_tile] : pieces) {
    const Stream::Parts parts = stream.parts(tile);
    ASSERT_EQ(parts.count, static_cast<int>(of_tile.size()));
    int next = 0;
    for (std::size_t i = 0; i < of_tile.size(); ++i) {
      EXPECT_EQ(of_tile[i].first, next);
      next += of_tile[i].count;
      if (parts.count == 1) continue;
      EXPECT_EQ(of_tile[i].worker, parts.first_worker + static_cast<int>(i));
      EXPECT_GE(stream.shared_tile(tile), 0);
      // Who has the others' chunks leaves one tile's sums, and does so before anything that it might wait for.
      if (i == 0) continue;
      EXPECT_EQ(Share(stream, of_tile[i].worker).segment(stream.whole).tile, tile);
    }
    EXPECT_EQ(next, stream.chunks);
  }
}

// Every chunk of every tile once; as much for each sharer, to a chunk; sums of shared tiles apart, and in order.
TEST(CudaStream, DealsEveryChunkOnceAndEvenly) {
  for (const int rows : {1, 3, 43, 86}) {
    for (const int tokens : {1, 2, 8, 11}) {
      for (const int chunks : {1, 2, 5, 32}) {
        for (const int workers : {1, 2, 7, 66, 132}) {
          for (const int least : {1, 4}) check(Stream::of(rows, tokens, chunks, workers, least), least);
        }
      }
    }
  }
}

// Weights of a tile of rows are read by the blocks of up to eight tiles of tokens at about the same time.
TEST(CudaStream, MakesTilesOfTokensSideBySide) {
  const Stream stream = Stream::of(4, 10, 1, 8);
  for (int worker = 0; worker < 8; ++worker) {
    EXPECT_EQ(Share(stream, worker).segment(0).row, 0);
    EXPECT_EQ(Share(stream, worker).segment(0).token, worker);
    EXPECT_EQ(Share(stream, worker).segment(1).row, 1);
  }
  EXPECT_EQ(Share(stream, 7).segment(4).row, 3);
  EXPECT_EQ(Share(stream, 7).segment(4).token, 9);
  EXPECT_EQ(Share(stream, 7).segment(5).count, 0);
}

}  // namespace
}  // namespace lowbit::kernels::cuda
