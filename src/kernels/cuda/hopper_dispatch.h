#pragma once

#include <algorithm>

#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/hopper.h"
#include "kernels/cuda/hopper_bytes.h"
#include "kernels/cuda/hopper_float8.h"
#include "kernels/cuda/hopper_rounded.h"
#include "kernels/cuda/hopper_sliced.h"

// From a call to the kernels for Hopper: which size of kernel makes it, and how the work is dealt.
namespace lowbit::kernels::cuda {

/// How many stages the second group of warps is behind the first one where they take turns: of eight, so that two are
/// on their way while six are read. A stage is 256 cycles of a group's products, and an end of a tile about 1,000.
inline constexpr int kTurnLag = 4;

/// `use.operator()<Kernel>()` for the kernel whose blocks have so many tokens.
template <typename Number, int kBits, typename Use>
auto with_hopper_exact(int tokens, const Use& use) {
  switch (hopper_tokens(tokens)) {
    case 16: return use.template operator()<HopperStream<HopperExact<kBits, Number, 2>>>();
    case 32: return use.template operator()<HopperStream<HopperExact<kBits, Number, 4>>>();
    case 64: return use.template operator()<HopperStream<HopperExact<kBits, Number, 8>>>();
    default: return use.template operator()<HopperStream<HopperExact<kBits, Number, 16>>>();
  }
}
/// With turns where a block has 256 tokens: such products have many tiles.
template <int kBits, typename Use>
auto with_hopper_bytes(ByteKernel kernel, int tokens, const Use& use) {
  switch (hopper_byte_tokens(tokens)) {
    case 64: return use.template operator()<HopperStream<HopperBytes<kBits, 8>>>();
    case 128: return use.template operator()<HopperStream<HopperBytes<kBits, 16>>>();
    default: break;
  }
  if (kernel == ByteKernel::kTurns) return use.template operator()<HopperStream<HopperBytes<kBits, 32, kTurnLag>>>();
  return use.template operator()<HopperStream<HopperBytes<kBits, 32>>>();
}

template <typename Use>
auto with_hopper_float8(int tokens, const Use& use) {
  switch (hopper_byte_tokens(tokens)) {
    case 64: return use.template operator()<HopperStream<HopperFloat8<8>>>();
    case 128: return use.template operator()<HopperStream<HopperFloat8<16>>>();
    default: return use.template operator()<HopperStream<HopperFloat8<32>>>();
  }
}

template <typename Number, int kTokenTiles, typename Use>
auto with_slices(int bits, const Use& use) {
  switch (bits) {
    case 0: return use.template operator()<HopperSliced<Number, kTokenTiles, 0>>();
    case 1: return use.template operator()<HopperSliced<Number, kTokenTiles, 1>>();
    case 2: return use.template operator()<HopperSliced<Number, kTokenTiles, 2>>();
    default: return use.template operator()<HopperSliced<Number, kTokenTiles, 3>>();
  }
}
template <typename Number, typename Use>
auto with_hopper_sliced(int tokens, int slice_bits, const Use& use) {
  switch (hopper_tokens(tokens)) {
    case 16: return with_slices<Number, 2>(slice_bits, use);
    case 32: return with_slices<Number, 4>(slice_bits, use);
    default: return with_slices<Number, 8>(slice_bits, use);
  }
}

/// Shared memory that a block may have on Hopper.
inline constexpr int kMostSharedBytes = 227 * 1024;

/// The slices that take the least time for so many tokens; none for other matrices than those of plain chunks, whose
/// slices fit into shared memory. `wanted`: how many are asked for.
inline Slices choose_slices(const Matrix& weight, int tokens, const HopperClusters& clusters, int wanted = 0) {
  constexpr int kExchange = 2;  // in the time of a chunk
  if (!has_plain_chunks(weight) || tokens > kMostSlicedTokens) return {};
  const int chunks = chunks_of(weight);
  const int tiles = group_tiles_of(weight);
  Slices best;
  int least = 0;
  for (Slices slices; slices.bits < 4 && slices.count() <= chunks; ++slices.bits) {
    if (wanted > 0 && slices.count() != wanted) continue;
    const int held = clusters.held[slices.bits];
    const auto [bytes, groups] = with_hopper_sliced<Float16>(tokens, slices.bits, [&]<typename Kernel>() {
      return std::pair(4 * Kernel::shared_words(chunks), Kernel::kGroups);
    });
    if (held == 0 || bytes > kMostSharedBytes) continue;
    slices.clusters = std::min(held, (tiles + groups - 1) / groups);
    const int rounds = (tiles + groups * slices.clusters - 1) / (groups * slices.clusters);
    const int cost = rounds * ((chunks + slices.count() - 1) / slices.count() + (slices.bits > 0 ? kExchange : 0));
    if (best.clusters > 0 && cost >= least) continue;
    best = slices;
    least = cost;
  }
  return best;
}

/// How many workers there are, and the memory that they need beside operands: sums of 4 bytes, and counters that are
/// zero. Bits of an output depend on the workers: on the matrix, the GPU, and the number of blocks of tokens.
struct HopperSchedule {
  std::int32_t block_tokens;
  Stream stream;
  std::int64_t sums;
  std::int64_t arrivals;

  /// As many workers as the GPU holds, or as are asked for; none without work, and none with a share too small
  /// to pay, unless they are asked for.
  template <typename Kernel>
  static HopperSchedule of(const Matrix& weight, int tokens, int multiprocessors, int wanted = 0) {
    Stream stream = wanted > 0
                        ? Kernel::stream_of(weight, tokens, wanted, 1)
                        : Kernel::stream_of(weight, tokens, std::max(multiprocessors / Kernel::kClusterBlocks, 1));
    if (stream.whole == 0) stream.workers = stream.sharers;
    return {Kernel::kTokens, stream, Kernel::shared_sums(stream), Kernel::arrivals(stream)};
  }
  static HopperSchedule exact(const Matrix& weight, int tokens, int multiprocessors, int wanted = 0) {
    return with_hopper_exact<Float16, 4>(
        tokens, [&]<typename Kernel>() { return of<Kernel>(weight, tokens, multiprocessors, wanted); });
  }
  static HopperSchedule rounded(const Matrix& weight, int tokens, int multiprocessors, int wanted = 0) {
    return of<HopperStream<HopperRounded<4, Float16>>>(weight, tokens, multiprocessors, wanted);
  }
  static HopperSchedule bytes(const Matrix& weight, int tokens, int multiprocessors, int wanted = 0) {
    return with_hopper_bytes<8>(ByteKernel::kTogether, tokens,
                                [&]<typename Kernel>() { return of<Kernel>(weight, tokens, multiprocessors, wanted); });
  }
  static HopperSchedule float8(const Matrix& weight, int tokens, int multiprocessors, int wanted = 0) {
    return with_hopper_float8(tokens,
                              [&]<typename Kernel>() { return of<Kernel>(weight, tokens, multiprocessors, wanted); });
  }
};

namespace detail {

template <typename Kernel, typename Launcher, typename Call>
bool launch_hopper(const Call& call, Launcher& launcher) {
  return launcher.template launch<Kernel>({{call.stream.workers * Kernel::kClusterBlocks, 1, 1},
                                           Kernel::kSharedWords * sizeof(std::uint32_t),
                                           Kernel::kClusterBlocks},
                                          call);
}

}  // namespace detail

template <typename Number, int kBits, typename Launcher>
bool dispatch_hopper(const HalfProduct& call, Launcher& launcher) {
  return with_hopper_exact<Number, kBits>(
      call.tokens, [&]<typename Kernel>() { return detail::launch_hopper<Kernel>(call, launcher); });
}

template <typename Number, typename Launcher>
bool dispatch_hopper_sliced(const HalfProduct& call, Launcher& launcher) {
  return with_hopper_sliced<Number>(call.tokens, call.slices.bits, [&]<typename Kernel>() {
    const auto words = static_cast<std::size_t>(Kernel::shared_words(chunks_of(call.weight)));
    const int blocks = call.slices.clusters * Kernel::kSlices;
    return launcher.template launch<Kernel>({{blocks, 1, 1}, words * sizeof(std::uint32_t), Kernel::kSlices}, call);
  });
}

template <typename Number, int kBits, int kLag = 0, typename Launcher>
bool dispatch_hopper_rounded(const HalfProduct& call, Launcher& launcher) {
  return detail::launch_hopper<HopperStream<HopperRounded<kBits, Number, kLag>>>(call, launcher);
}

template <int kBits, typename Launcher>
bool dispatch_hopper_bytes(ByteKernel kernel, const IntegerProduct& call, Launcher& launcher) {
  return with_hopper_bytes<kBits>(kernel, call.tokens,
                                  [&]<typename Kernel>() { return detail::launch_hopper<Kernel>(call, launcher); });
}

template <typename Launcher>
bool dispatch_hopper_float8(const Float8Product& call, Launcher& launcher) {
  return with_hopper_float8(call.tokens,
                            [&]<typename Kernel>() { return detail::launch_hopper<Kernel>(call, launcher); });
}

template <typename Launcher>
bool dispatch_arrange_operands(const OperandCall& call, Launcher& launcher) {
  const int chunks = blocks_for(call.steps, kChunkSteps);
  const int steps_at_once = ArrangeOperands::kThreads / call.block_tokens;
  return launcher.template launch<ArrangeOperands>(
      {{blocks_for(call.tokens, call.block_tokens), blocks_for(chunks * kChunkSteps, steps_at_once), 1}, 0}, call);
}

}  // namespace lowbit::kernels::cuda
