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

/// The same of up to eight tokens whose activations are integers, of one width of weights.
struct TogetherIntegersCall {
  static constexpr int kMost = TogetherCall::kMost;
  IntegerProduct products[kMost];
  std::int32_t row_blocks[kMost];
};
template <int kBits>
struct TogetherIntegers {
  using Kernel = SkinnyInteger<kBits, 1>;
  static constexpr int kThreads = Kernel::kThreads;
  /// With 8 bits the call of one of several products leaves too few registers for as many blocks.
  static constexpr int kResidentBlocks = kBits == 8 ? Kernel::kResidentBlocks - 1 : Kernel::kResidentBlocks;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const TogetherIntegersCall& call) {
    int first = 0;
    int which = 0;
    while (thread.block(0) >= first + call.row_blocks[which]) first += call.row_blocks[which++];
    PartOfGrid<Thread> own(thread, first, call.row_blocks[which]);
    Kernel::run(own, call.products[which]);
  }
};

/// Null, or why the products cannot be made together.
inline const char* together_obstacle(const IntegerProduct* products, int count) {
  if (count < 1 || count > TogetherIntegersCall::kMost) return "1 to 3 products are made together";
  for (int i = 0; i < count; ++i) {
    const IntegerProduct& product = products[i];
    if (product.weight.table != nullptr) return "a table has no integer product";
    if (product.weight.bits != products[0].weight.bits) return "products of one width are made together";
    if (product.tokens != products[0].tokens) return "products that are made together have the same tokens";
    if (!SkinnyInteger<8, 1>::takes(product.weight, product.tokens)) {
      return "products of integers that are made together have few tokens and groups";
    }
  }
  return nullptr;
}
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

template <int kBits, typename Launcher>
bool dispatch_together(const IntegerProduct* products, int count, Launcher& launcher) {
  using Kernel = TogetherIntegers<kBits>;
  TogetherIntegersCall call{};
  GridSize grid{{0, 1, 1}, 0};
  for (int i = 0; i < count && i < TogetherIntegersCall::kMost; ++i) {
    call.products[i] = products[i];
    call.row_blocks[i] = tiles_of(products[i].weight);
    grid.blocks[0] += call.row_blocks[i];
    const int words = Kernel::Kernel::shared_words(products[i].weight, products[i].tokens);
    grid.shared_bytes = std::max(grid.shared_bytes, static_cast<std::size_t>(words) * sizeof(float));
  }
  return launcher.template launch<Kernel>(grid, call);
}

template <typename Launcher>
bool dispatch_together(const HalfProduct* products, int count, Launcher& launcher) {
  TogetherLauncher<Launcher> together(products, count, launcher);
  return dispatch_skinny<BFloat16, 4>(products[0], together);
}

}  // namespace lowbit::kernels::cuda
