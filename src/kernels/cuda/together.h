#pragma once

#include "kernels/cuda/dispatch.h"

// Products of one input with several matrices in one launch, so that the GPU is as full as all of them make it.
namespace lowbit::kernels::cuda {

struct TogetherCall {
  static constexpr int kMost = 3;
  HalfProduct products[kMost];
  std::int32_t row_blocks[kMost];  ///< of each, one behind the other in the grid's first dimension
};

/// A thread that takes its block for one of a smaller grid: `count` blocks from `first` on.
template <typename Thread>
class PartOfGrid : public Thread {
 public:
  LOWBIT_HOST_DEVICE PartOfGrid(const Thread& thread, int first, int count)
      : Thread(thread), first_(first), count_(count) {}
  LOWBIT_HOST_DEVICE int block(int dimension) const { return Thread::block(dimension) - (dimension == 0 ? first_ : 0); }
  LOWBIT_HOST_DEVICE int blocks(int dimension) const { return dimension == 0 ? count_ : Thread::blocks(dimension); }

 private:
  int first_;
  int count_;
};

/// Each product as `Kernel` alone makes it.
template <typename Kernel>
struct Together {
  static constexpr int kThreads = Kernel::kThreads;
  static constexpr int kResidentBlocks = Kernel::kResidentBlocks;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const TogetherCall& call) {
    int first = 0;
    int which = 0;
    while (thread.block(0) >= first + call.row_blocks[which]) first += call.row_blocks[which++];
    const HalfProduct& product = call.products[which];
    if (thread.block(1) >= product.splits) return;
    PartOfGrid<Thread> own(thread, first, call.row_blocks[which]);
    Kernel::run(own, product);
  }
};

/// Null, or why the products cannot be made together.
inline const char* together_obstacle(const HalfProduct* products, int count) {
  if (count < 1 || count > TogetherCall::kMost) return "1 to 3 products are made together";
  for (int i = 0; i < count; ++i) {
    const HalfProduct& product = products[i];
    if (product.weight.bits != 4 || product.weight.table != nullptr) return "products of 4 bits are made together";
    if (product.tokens != products[0].tokens) return "products that are made together have the same tokens";
    if (product.splits < 1) return "a product has no splits";
    if (product.splits > 1 && (product.partials == nullptr || product.arrivals == nullptr)) {
      return "a product in splits has no memory for their sums";
    }
  }
  return nullptr;
}

/// Launches what `dispatch_skinny` chooses for the first product, which the number of tokens decides, for all of them.
template <typename Launcher>
class TogetherLauncher {
 public:
  TogetherLauncher(const HalfProduct* products, int count, Launcher& launcher)
      : products_(products), count_(count), launcher_(launcher) {}
  template <typename Kernel>
  bool launch(const GridSize& of_first, const HalfProduct&) {
    TogetherCall call{};
    GridSize grid = of_first;
    grid.blocks[0] = 0;
    for (int i = 0; i < count_ && i < TogetherCall::kMost; ++i) {
      call.products[i] = products_[i];
      call.row_blocks[i] = schedule_skinny(products_[i].weight, products_[i].tokens, 1).row_blocks;
      grid.blocks[0] += call.row_blocks[i];
      grid.blocks[1] = std::max(grid.blocks[1], products_[i].splits);
    }
    return launcher_.template launch<Together<Kernel>>(grid, call);
  }

 private:
  const HalfProduct* products_;
  int count_;
  Launcher& launcher_;
};

template <typename Launcher>
bool dispatch_together(const HalfProduct* products, int count, Launcher& launcher) {
  TogetherLauncher<Launcher> together(products, count, launcher);
  return dispatch_skinny<BFloat16, 4>(products[0], together);
}

}  // namespace lowbit::kernels::cuda
