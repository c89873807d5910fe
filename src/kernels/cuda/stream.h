#pragma once

#include <cstdint>

#include "kernels/cuda/host_device.h"

// How a product is dealt to workers (clusters of blocks) that stay on the GPU to its end: first whole tiles, as many to
// each, and then the few that are left, whose chunks of columns are dealt in equal shares. So no worker waits for a
// last wave of tiles. Who has the first chunks of a shared tile, which come at the end of a share, adds the sums of
// those who have the others, which stand at the beginning of theirs and are there long before.
namespace lowbit::kernels::cuda {

struct Stream {
  std::int32_t row_tiles;
  std::int32_t token_tiles;
  std::int32_t chunks;  ///< of a tile
  std::int32_t workers;
  std::int32_t whole;    ///< tiles that each worker makes by itself
  std::int32_t sharers;  ///< workers, the first ones, that have a share of the other tiles

  /// The segments of a tile are those of so many workers side by side.
  struct Parts {
    std::int32_t first_worker;
    std::int32_t count;
  };

  /// Shares have `least_chunks` and more, where that leaves as many sharers as there are tiles to share.
  static constexpr Stream of(int row_tiles, int token_tiles, int chunks, int workers, int least_chunks = 1) {
    const int tiles = row_tiles * token_tiles;
    const int shared = tiles % workers;
    const int paying = shared * chunks / least_chunks;
    const int sharers = paying > workers ? workers : paying > shared ? paying : shared;
    return {row_tiles, token_tiles, chunks, workers, tiles / workers, sharers};
  }
  LOWBIT_HOST_DEVICE constexpr int tiles() const { return row_tiles * token_tiles; }
  /// Tiles whose chunks are shared, fewer than there are workers; they come behind the others.
  LOWBIT_HOST_DEVICE constexpr int shared_tiles() const { return tiles() - whole * workers; }
  LOWBIT_HOST_DEVICE constexpr int shared_tile(int tile) const { return tile - whole * workers; }
  /// Of all shared chunks, the first one of a worker's share.
  LOWBIT_HOST_DEVICE constexpr int share(int worker) const {
    if (worker >= sharers) return static_cast<int>(shared_chunks());
    return static_cast<int>(shared_chunks() * static_cast<std::uint32_t>(worker) / static_cast<std::uint32_t>(sharers));
  }
  LOWBIT_HOST_DEVICE constexpr Parts parts(int tile) const {
    if (shared_tile(tile) < 0) return {0, 1};
    const int begin = shared_tile(tile) * chunks;
    const int first = worker_of(begin);
    return {first, worker_of(begin + chunks - 1) - first + 1};
  }

 private:
  LOWBIT_HOST_DEVICE constexpr std::uint32_t shared_chunks() const {
    return static_cast<std::uint32_t>(shared_tiles()) * static_cast<std::uint32_t>(chunks);
  }
  LOWBIT_HOST_DEVICE constexpr int worker_of(int chunk) const {
    const auto next = static_cast<std::uint32_t>(chunk + 1);
    return static_cast<int>((next * static_cast<std::uint32_t>(sharers) - 1U) / shared_chunks());
  }
};

/// A worker's run of chunks of one tile; none when `count` is zero.
struct Segment {
  std::int32_t tile;
  std::int32_t row;  ///< the tile's place among those of rows, and of tokens
  std::int32_t token;
  std::int32_t first;  ///< chunk
  std::int32_t count;
};

/// A worker's segments.
class Share {
 public:
  LOWBIT_HOST_DEVICE constexpr Share(const Stream& stream, int worker)
      : stream_(stream), worker_(worker), begin_(stream.share(worker)), end_(stream.share(worker + 1)) {
    first_tile_ = static_cast<int>(static_cast<std::uint32_t>(begin_) / static_cast<std::uint32_t>(stream.chunks));
  }
  [[nodiscard]] LOWBIT_HOST_DEVICE constexpr int worker() const { return worker_; }

  [[nodiscard]] LOWBIT_HOST_DEVICE constexpr Segment segment(int number) const {
    int tile = number * stream_.workers + worker_;
    int first = 0;
    int count = stream_.chunks;
    if (number >= stream_.whole) {
      const int shared_tile = first_tile_ + number - stream_.whole;
      const int chunk = shared_tile * stream_.chunks;
      tile = stream_.whole * stream_.workers + shared_tile;
      first = begin_ > chunk ? begin_ - chunk : 0;
      count = (end_ - chunk < count ? end_ - chunk : count) - first;
      if (count <= 0) return {};
    }
    const auto [row, token] = place(static_cast<std::uint32_t>(tile));
    return {tile, row, token, first, count};
  }

 private:
  /// Tiles of up to so many tokens are made side by side, so that they read the same weights at about the same time.
  static constexpr std::uint32_t kTokensTogether = 8;
  struct Place {
    std::int32_t row;
    std::int32_t token;
  };

  [[nodiscard]] LOWBIT_HOST_DEVICE constexpr Place place(std::uint32_t tile) const {
    const auto tokens = static_cast<std::uint32_t>(stream_.token_tiles);
    const std::uint32_t of_group = kTokensTogether * static_cast<std::uint32_t>(stream_.row_tiles);
    const std::uint32_t first_token = tile / of_group * kTokensTogether;
    const std::uint32_t within = tile % of_group;
    const std::uint32_t together = tokens - first_token < kTokensTogether ? tokens - first_token : kTokensTogether;
    return {static_cast<std::int32_t>(within / together), static_cast<std::int32_t>(first_token + within % together)};
  }

  const Stream& stream_;
  int worker_;
  int begin_;
  int end_;
  int first_tile_;  ///< of the shared ones
};

}  // namespace lowbit::kernels::cuda
