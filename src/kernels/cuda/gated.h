#pragma once

#include "kernels/cuda/rows.h"
#include "kernels/cuda/together.h"

// silu(gate) times up where gate and up are products of one input with matrices of one shape: a block makes both of the
// same rows, so that neither goes through the GPU's memory.
namespace lowbit::kernels::cuda {

struct GatedCall {
  HalfProduct gate;  ///< its output, without residual, is that of both
  HalfProduct up;    ///< only its output's bias counts
};

/// A thread that takes its block for one of `kCount` threads, of which its own has several.
template <typename Thread, int kCount>
class PartOfBlock : public Thread {
 public:
  LOWBIT_HOST_DEVICE explicit PartOfBlock(const Thread& thread) : Thread(thread) {}
  LOWBIT_HOST_DEVICE int index() const { return Thread::index() % kCount; }
};

/// The first half of a block's warps makes a tile of rows of the gate's product, the other one that of the other's, as
/// `Kernel` does in one split, up to the sums of warps, which are added in the order of warps. Biases are added, the
/// gate is computed in float32, and what comes out is rounded once.
template <typename Kernel>
struct Gated {
  static constexpr int kThreads = 2 * Kernel::kThreads;
  /// As many warps as without gating, but where that takes one block and a half.
  static constexpr int kResidentBlocks = Kernel::kResidentBlocks / 2;
  static constexpr int kUpAt = Kernel::kSharedFloats;
  static constexpr int kSharedFloats = 2 * Kernel::kSharedFloats;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const GatedCall& call) {
    const int index = thread.index();
    const bool is_up = index >= Kernel::kThreads;
    PartOfBlock<Thread, Kernel::kThreads> half(thread);
    half.allow_next_grid();
    Kernel part(half);
    part.sum_chunks(half, is_up ? call.up : call.gate);
    const HalfProduct& gate = call.gate;
    LOWBIT_UNROLL
    for (int n = 0; n < Kernel::kTokens / kTileTokens; ++n) {
      part.share(half, n, is_up ? kUpAt : 0);
      half.sync();
      for (int e = index; e < kTileRows * kTileTokens; e += kThreads) {
        const int token = part.token() + n * kTileTokens + e / kTileRows;
        const int row = half.block(0) * kTileRows + e % kTileRows;
        if (token >= gate.tokens || row >= gate.weight.rows) continue;
        float x = Kernel::sum_of_warps(half, e, 0);
        float y = Kernel::sum_of_warps(half, e, kUpAt);
        if (gate.output.bias != nullptr) x += gate.output.bias[row];
        if (call.up.output.bias != nullptr) y += call.up.output.bias[row];
        Target output = gate.output;
        output.bias = nullptr;
        output.store(token, row, GateRows::gated(x, y));
      }
      half.sync();
    }
  }
};

/// Null, or why they cannot be made together.
inline const char* gated_obstacle(const GatedCall& call) {
  const HalfProduct products[] = {call.gate, call.up};
  if (const char* obstacle = together_obstacle(products, 2)) return obstacle;
  if (call.gate.splits != 1 || call.up.splits != 1) return "products that are gated have one split";
  const Matrix& gate = call.gate.weight;
  const Matrix& up = call.up.weight;
  if (gate.rows != up.rows || gate.columns != up.columns) return "products that are gated have matrices of one shape";
  if (call.gate.output.residual != nullptr) return "nothing is added to what is gated";
  return nullptr;
}

template <typename Launcher>
class GatedLauncher {
 public:
  GatedLauncher(const GatedCall& call, Launcher& launcher) : call_(call), launcher_(launcher) {}
  template <typename Kernel>
  bool launch(const GridSize& of_gate, const HalfProduct&) {
    GridSize grid = of_gate;
    grid.shared_bytes = Gated<Kernel>::kSharedFloats * sizeof(float);
    return launcher_.template launch<Gated<Kernel>>(grid, call_);
  }

 private:
  const GatedCall& call_;
  Launcher& launcher_;
};

template <typename Launcher>
bool dispatch_gated(const GatedCall& call, Launcher& launcher) {
  GatedLauncher<Launcher> gated(call, launcher);
  return dispatch_skinny<BFloat16, 4>(call.gate, gated);
}

}  // namespace lowbit::kernels::cuda
