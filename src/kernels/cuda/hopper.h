#pragma once

#include "kernels/cuda/group_step.h"
#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/splits.h"

// Products of 16 tokens and more on Hopper (sm_90a). A warp copies stages of 128 columns into shared memory, weights as
// they are packed and activations as hopper_input.h lays them out; two groups of four warps decode weights into the
// registers that the matrix instruction takes its left operand from, and give its right one as it lies.
namespace lowbit::kernels::cuda {

inline constexpr int kGroupWarps = 4;

/// What lies where in a stage, in words of shared memory.
template <int kBits, int kBlockTiles, int kTokens>
struct HopperStage {
  static constexpr int kOperandWords = kTokens * kOperandDepth / 2;
  static constexpr int kInputWords = kChunkOperands * kOperandWords;
  static constexpr int kTileCodes = kLanes * chunk_words(kBits);
  /// Of a chunk's groups, of which there are as many as steps at most; scales of 32 bits.
  static constexpr int kTileScales = kChunkSteps * kTileRows;
  static constexpr int kTileZeros = kChunkSteps * kTileRows / 4;
  static constexpr int kCodesAt = kInputWords;
  static constexpr int kScalesAt = kCodesAt + kBlockTiles * kTileCodes;
  static constexpr int kZerosAt = kScalesAt + kBlockTiles * kTileScales;
  static constexpr int kWords = kZerosAt + kBlockTiles * kTileZeros;
};

/// An output's sum: for each group that a chunk of columns holds, in order, f = fma(sum of x (code - zero), scale, f),
/// as the tiled kernel's; splits take chunks side by side, and are added in order.
template <int kBits, typename Number, int kTokenTiles>
class Hopper {
  static_assert(kBits != 3, "codes in two planes have no stage");

 public:
  static constexpr int kGroups = 2;
  static constexpr int kConsumerWarps = kGroups * kGroupWarps;
  static constexpr int kThreads = (kConsumerWarps + 1) * kLanes;
  static constexpr int kClusterBlocks = 1;
  static constexpr int kBlockTiles = kConsumerWarps;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kResidentBlocks = kTokenTiles <= 4 ? 2 : 1;
  /// So many that all blocks of a multiprocessor fill its shared memory.
  static constexpr int kStages = kTokenTiles == 2 ? 6 : kTokenTiles == 4 ? 5 : kTokenTiles == 8 ? 8 : 5;
  using Stage = HopperStage<kBits, kBlockTiles, kTokens>;
  /// A stage's barriers, "it is full" and "it is free", take two words each.
  static constexpr int kBarriersAt = kStages * Stage::kWords;
  static constexpr int kFlagAt = kBarriersAt + 4 * kStages;
  static constexpr int kSharedWords = kFlagAt + 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    Hopper block(thread, call);
    thread.allow_next_grid();
    block.prepare_barriers(thread);
    if (thread.warp() == kConsumerWarps) {
      block.produce(thread, call);
    } else {
      block.consume(thread, call);
    }
    if (call.splits > 1) {
      finish_splits(thread, call, {block.tile_ * kTileRows, kBlockTiles * kTileRows, block.token_, kTokens, kThreads},
                    kFlagAt);
    }
  }

 private:
  using Accumulators = float[kTokenTiles][4];
  /// A warp's rows in a stage, which the last block may lack.
  struct Tile {
    int stage;
    int in_block;
    bool present;
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE Hopper(Thread& thread, const HalfProduct& call)
      : tile_(thread.block(0) * kBlockTiles), token_(thread.block(2) * kTokens) {
    const int chunks = chunks_of(call.weight);
    first_ = static_cast<int>(std::int64_t{chunks} * thread.block(1) / call.splits);
    count_ = static_cast<int>(std::int64_t{chunks} * (thread.block(1) + 1) / call.splits) - first_;
  }

  LOWBIT_HOST_DEVICE static constexpr int stage_at(int i) { return i % kStages * Stage::kWords; }
  LOWBIT_HOST_DEVICE static constexpr int full_at(int i) { return kBarriersAt + i % kStages * 4; }
  LOWBIT_HOST_DEVICE static constexpr int free_at(int i) { return full_at(i) + 2; }
  /// A barrier's phases take turns; a stage's use number i / kStages is one of each.
  LOWBIT_HOST_DEVICE static constexpr std::uint32_t phase(int i) { return static_cast<std::uint32_t>(i / kStages % 2); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void prepare_barriers(Thread& thread) {
    if (thread.index() == 0) {
      for (int i = 0; i < kStages; ++i) {
        thread.start_barrier(full_at(i), 1);
        thread.start_barrier(free_at(i), kConsumerWarps);
      }
      thread.fence_barriers();
    }
    thread.sync();
  }

  // The first stages' weights are on their way before the grid in front has ended.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void produce(Thread& thread, const HalfProduct& call) const {
    const int ahead = count_ < kStages ? count_ : kStages;
    for (int i = 0; i < ahead; ++i) copy_weights(thread, call.weight, i);
    thread.wait_for_previous_grid();
    for (int i = 0; i < ahead; ++i) copy_input(thread, call, i);
    for (int i = ahead; i < count_; ++i) {
      thread.wait_barrier(free_at(i), phase(i - kStages));
      copy_weights(thread, call.weight, i);
      copy_input(thread, call, i);
    }
  }

  LOWBIT_HOST_DEVICE static int code_bytes_of(const Matrix& weight, int chunk) {
    const int words = tile_words(kBits, weight.steps) - chunk * chunk_words(kBits);
    return 4 * kLanes * (words < chunk_words(kBits) ? words : chunk_words(kBits));
  }
  LOWBIT_HOST_DEVICE static int scale_bytes_of(const Matrix& weight) {
    return weight.scale_kind == ScaleKind::kFloat32 ? 4 : 2;
  }

  // A tile's copies are a lane's.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_weights(Thread& thread, const Matrix& weight, int i) const {
    const int lane = thread.index() % kLanes;
    const int chunk = first_ + i;
    const int left = tiles_of(weight) - tile_;
    const int tiles = left < kBlockTiles ? left : kBlockTiles;
    const ChunkGroups groups(weight, chunk);
    const int code_bytes = code_bytes_of(weight, chunk);
    const int scale_bytes = groups.count * kTileRows * scale_bytes_of(weight);
    const int zero_bytes = weight.zeros != nullptr ? groups.count * kTileRows : 0;
    if (lane == 0) thread.expect(full_at(i), tiles * (code_bytes + scale_bytes + zero_bytes) + 4 * Stage::kInputWords);
    thread.sync_warp();
    if (lane >= tiles) return;
    const int at = stage_at(i);
    const std::int64_t tile = tile_ + lane;
    const std::int64_t group = (tile * weight.groups + groups.first) * kTileRows;
    thread.copy_bulk_once(
        at + Stage::kCodesAt + lane * Stage::kTileCodes,
        weight.codes + tile * tile_bytes(kBits, weight.steps) + std::int64_t{4} * kLanes * chunk_words(kBits) * chunk,
        code_bytes, full_at(i));
    thread.copy_bulk_once(at + Stage::kScalesAt + lane * Stage::kTileScales,
                          static_cast<const std::uint8_t*>(weight.scales) + group * scale_bytes_of(weight), scale_bytes,
                          full_at(i));
    if (zero_bytes == 0) return;
    thread.copy_bulk_once(at + Stage::kZerosAt + lane * Stage::kTileZeros, weight.zeros + group, zero_bytes,
                          full_at(i));
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_input(Thread& thread, const HalfProduct& call, int i) const {
    if (thread.index() % kLanes != 0) return;
    const std::int64_t chunk = std::int64_t{thread.block(2)} * chunks_of(call.weight) + first_ + i;
    thread.copy_bulk(stage_at(i), call.input + chunk * 2 * Stage::kInputWords, 4 * Stage::kInputWords, full_at(i));
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void consume(Thread& thread, const HalfProduct& call) const {
    const int warp = thread.warp();
    Accumulators sums = {};
    Accumulators group_sums = {};
    thread.wait_for_previous_grid();  // before the outputs: the grid in front may read what they replace
    for (int i = 0; i < count_; ++i) {
      thread.wait_barrier(full_at(i), phase(i));
      const Tile tile = {stage_at(i), warp, tile_ + warp < tiles_of(call.weight)};
      if (call.weight.group_steps % kChunkSteps == 0) {
        add_chunk(thread, call.weight, first_ + i, tile, group_sums, sums);
      } else {
        add_steps(thread, call.weight, first_ + i, tile, group_sums, sums);
      }
      thread.sync_warp();
      if (thread.index() % kLanes == 0) thread.arrive(free_at(i));
    }
    store(thread, call, warp, sums);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static Codes<kBits> stage_codes(Thread& thread, const Matrix& weight, int chunk,
                                                     const Tile& tile) {
    const int lane = thread.index() % kLanes;
    auto shared = thread.template shared<std::uint32_t>();
    Codes<kBits> codes = {};
    const int at = tile.stage + Stage::kCodesAt + tile.in_block * Stage::kTileCodes;
    if (!tile.present) return codes;
    if ((chunk + 1) * kChunkSteps <= weight.steps) {
      LOWBIT_UNROLL
      for (int v = 0; v < chunk_words(kBits) / 4; ++v) {
        const Word4 loaded = shared.load16(at + (v * kLanes + lane) * 4);
        LOWBIT_UNROLL
        for (int w = 0; w < 4; ++w) codes.words[4 * v + w] = loaded.x[w];
      }
      return codes;
    }
    const int left = tile_words(kBits, weight.steps) - chunk * chunk_words(kBits);
    LOWBIT_UNROLL
    for (int w = 0; w < chunk_words(kBits); ++w) codes.words[w] = w < left ? shared.load(at + w * kLanes + lane) : 0;
    return codes;
  }

  /// Of a lane's two rows; `group` counts those of the chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static Parameters stage_parameters(Thread& thread, const Matrix& weight, const Tile& tile,
                                                        int group) {
    auto shared = thread.template shared<std::uint32_t>();
    const int place = group * kTileRows + thread.index() % kLanes / 4 * 2;
    const int scales = tile.stage + Stage::kScalesAt + tile.in_block * Stage::kTileScales;
    Parameters result = {};
    if (!tile.present) return result;
    if (weight.scale_kind == ScaleKind::kFloat32) {
      result.scales[0] = shared.load(scales + place);
      result.scales[1] = shared.load(scales + place + 1);
    } else {
      result.scales[0] = shared.load(scales + place / 2);
    }
    const auto uniform = static_cast<std::uint32_t>(weight.uniform_zero);
    result.zeros = uniform | (uniform << 8);
    if (weight.zeros == nullptr) return result;
    const int zeros = tile.stage + Stage::kZerosAt + tile.in_block * Stage::kTileZeros;
    result.zeros = shared.load(zeros + place / 4) >> (8 * (place % 4)) & 0xFFFFU;
    return result;
  }

  // A chunk of one group: a step is decoded while the one before it is multiplied. Steps that the chunk lacks are zero.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void add_chunk(Thread& thread, const Matrix& weight, int chunk, const Tile& tile,
                                           Accumulators& group_sums, Accumulators& sums) {
    const Codes<kBits> codes = stage_codes(thread, weight, chunk, tile);
    const Parameters parameters = stage_parameters(thread, weight, tile, 0);
    std::uint32_t operands[2][2][4];
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      if (s >= 2) thread.template wait_group_products<1>();  // these operands' last product
      decode_operands<kBits, Number>(thread, codes, parameters, s, operands[s % 2]);
      multiply_step(thread, tile.stage, s, operands[s % 2], group_sums, s == 0);
    }
    thread.template wait_group_products<0>();
    add_scaled(weight, parameters, group_sums, sums);
  }

  // A chunk of several groups, or of a part of a group that ends within it. Nothing is on its way where paths part.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void add_steps(Thread& thread, const Matrix& weight, int chunk, const Tile& tile,
                                           Accumulators& group_sums, Accumulators& sums) {
    const Codes<kBits> codes = stage_codes(thread, weight, chunk, tile);
    const int left = weight.steps - chunk * kChunkSteps;
    const int steps = left < kChunkSteps ? left : kChunkSteps;
    GroupCursor cursor(weight, chunk * kChunkSteps);
    const int first_group = cursor.group;
    bool opens = true;
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      if (s >= steps) break;
      const Parameters parameters = stage_parameters(thread, weight, tile, cursor.group - first_group);
      std::uint32_t operands[2][4];
      decode_operands<kBits, Number>(thread, codes, parameters, s, operands);
      multiply_step(thread, tile.stage, s, operands, group_sums, opens);
      thread.template wait_group_products<0>();
      opens = cursor.advance(weight);
      if (opens || s + 1 == steps) add_scaled(weight, parameters, group_sums, sums);
    }
  }

  /// The first product of a group begins its sums.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_step(Thread& thread, int stage, int in_chunk,
                                               const std::uint32_t (&operands)[2][4], Accumulators& group_sums,
                                               bool opens) {
    constexpr std::uint32_t kTokenBytes = 128;
    constexpr std::uint32_t kDepthBytes = kTokens / 8 * kTokenBytes;
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int at = stage + (2 * in_chunk + half) * Stage::kOperandWords;
      thread.multiply_group(Number{}, group_sums, operands[half],
                            operand_descriptor(thread.shared_address(at), kDepthBytes, kTokenBytes),
                            half == 1 || !opens);
    }
    thread.commit_group_products();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void store(Thread& thread, const HalfProduct& call, int tile, const Accumulators& sums) const {
    const int lane = thread.index() % kLanes;
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row = (tile_ + tile) * kTileRows + lane / 4 + i / 2 * 8;
        deliver(thread, call, token_ + n * kTileTokens + lane % 4 * 2 + i % 2, row, sums[n][i]);
      }
    }
  }

  int tile_;
  int token_;
  int first_ = 0;  ///< of the chunks
  int count_ = 0;
};

}  // namespace lowbit::kernels::cuda
