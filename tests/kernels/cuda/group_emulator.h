#pragma once

#include <map>
#include <utility>

#include "emulator.h"

// What the model of a GPU has of Hopper: copies in bulk that arrive at barriers in shared memory, and products of
// groups of four warps. Both happen as late as they may: a copy when somebody waits for it, a product when its group
// waits. So memory and registers that are touched too early hold what the product does not expect. Proxies, and what a
// GPU does between the instructions, are not modelled.
namespace lowbit::kernels::cuda::testing {

struct GroupBlock : Block {
  using Block::Block;
  struct Barrier {
    int expected = 0;  ///< arrivals of a phase
    int left = 0;
    std::int64_t bytes = 0;  ///< that copies still owe to this phase
    std::uint32_t phase = 0;
    std::vector<int> waiting;
  };
  struct Copy {
    std::size_t word;
    std::vector<std::uint32_t> values;
    int barrier;
  };
  std::map<int, Barrier> barriers;
  std::vector<Copy> copies;
  std::map<int, Meeting> groups;
  std::map<int, class GroupThread*> members;
};

class GroupThread : public EmulatedThread {
 public:
  using BlockType = GroupBlock;
  GroupThread(GroupBlock& block, int index) : EmulatedThread(block, index), group_block_(block) {}

  [[nodiscard]] int warp() const { return index() / kLanes; }
  [[nodiscard]] std::uint32_t shared_address(int word) const { return 4 * static_cast<std::uint32_t>(word); }

  void start_barrier(int word, int arrivals) {
    if (word % 2 != 0) throw std::runtime_error("a barrier in shared memory is not aligned");
    if (!group_block_.barriers.try_emplace(word, GroupBlock::Barrier{arrivals, arrivals, 0, 0, {}}).second) {
      throw std::runtime_error("a barrier in shared memory is started twice");
    }
  }
  void fence_barriers() {}
  void arrive(int word) {
    GroupBlock::Barrier& barrier = barrier_at(word);
    if (barrier.left == 0) throw std::runtime_error("more arrivals at a barrier than its phase has");
    --barrier.left;
    advance(barrier);
  }
  void expect(int word, int bytes) {
    barrier_at(word).bytes += bytes;
    arrive(word);
  }
  void wait_barrier(int word, std::uint32_t parity) {
    GroupBlock::Barrier& barrier = barrier_at(word);
    deliver(word);
    while (barrier.phase % 2 == parity) {
      barrier.waiting.push_back(index());
      block_.fibers.wait();
    }
  }
  void copy_bulk(int word, const void* from, int bytes, int barrier) {
    if (word % 4 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0 || bytes <= 0 || bytes % 16 != 0) {
      throw std::runtime_error("a copy in bulk is not made of 16 bytes on 16 bytes");
    }
    GroupBlock::Copy copy{static_cast<std::size_t>(word), {}, barrier};
    copy.values.resize(static_cast<std::size_t>(bytes) / 4);
    std::memcpy(copy.values.data(), from, static_cast<std::size_t>(bytes));
    for (std::size_t i = 0; i < copy.values.size(); ++i) block_.shared.begin_bulk_copy(copy.word + i);
    group_block_.copies.push_back(std::move(copy));
    if (!barrier_at(barrier).waiting.empty()) deliver(barrier);
  }
  void copy_bulk_once(int word, const void* from, int bytes, int barrier) { copy_bulk(word, from, bytes, barrier); }

  void begin_group_products() { begun_ = true; }
  template <typename Number, int kTokenTiles>
  void multiply_group(Number, float (&sums)[kTokenTiles][4], const std::uint32_t (&left)[4], std::uint64_t right,
                      bool add) {
    if (!begun_) throw std::runtime_error("a product of a group is not begun");
    open_.push_back({&sums[0][0], left, right, add, 4 * kTokenTiles,
                     [](std::uint32_t bits) { return static_cast<double>(Number::to_float(bits)); }});
  }
  void commit_group_products() {
    batches_.push_back(std::exchange(open_, {}));
    begun_ = false;
  }
  template <int kPending>
  void wait_group_products() {
    static constexpr char kPurpose = 0;
    group_block_.members[index()] = this;
    meet(group_block_.groups[index() / kThreads], kThreads, &kPurpose, [this] {
      while (batches_.size() > kPending) multiply_batch();
    });
  }

 private:
  static constexpr int kThreads = 4 * kLanes;
  struct Product {
    float* sums;
    const std::uint32_t* left;
    std::uint64_t right;
    bool add;
    int values;  // of a thread
    double (*to_number)(std::uint32_t);
  };

  GroupBlock::Barrier& barrier_at(int word) {
    const auto found = group_block_.barriers.find(word);
    if (found == group_block_.barriers.end()) throw std::runtime_error("a barrier in shared memory is not started");
    return found->second;
  }
  void advance(GroupBlock::Barrier& barrier) {
    if (barrier.left != 0 || barrier.bytes != 0) return;
    barrier.left = barrier.expected;
    ++barrier.phase;
    for (const int other : std::exchange(barrier.waiting, {})) block_.fibers.wake(other);
  }
  void deliver(int word) {
    for (GroupBlock::Copy& copy : std::exchange(group_block_.copies, {})) {
      if (copy.barrier != word) {
        group_block_.copies.push_back(std::move(copy));
        continue;
      }
      for (std::size_t i = 0; i < copy.values.size(); ++i) block_.shared.end_bulk_copy(copy.word + i, copy.values[i]);
      GroupBlock::Barrier& barrier = barrier_at(word);
      barrier.bytes -= 4 * static_cast<std::int64_t>(copy.values.size());
      advance(barrier);
    }
  }

  void multiply_batch() {
    const int first = index() / kThreads * kThreads;
    for (std::size_t product = 0; product < batches_.front().size(); ++product) {
      double a[64][16];
      for (int i = 0; i < kThreads; ++i) {
        const Product& own = group_block_.members.at(first + i)->batches_.front().at(product);
        const Product& here = batches_.front()[product];
        if (own.right != here.right || own.add != here.add || own.values != here.values) {
          throw std::runtime_error("threads of a group multiply by different operands");
        }
        for (int e = 0; e < 8; ++e) {
          const Element at = element_of_group_a16(i, e);
          a[at.row][at.column] = own.to_number(own.left[e / 2] >> (16 * (e % 2)) & 0xFFFFU);
        }
      }
      for (int i = 0; i < kThreads; ++i)
        add_products(i, group_block_.members.at(first + i)->batches_.front()[product], a);
    }
    for (int i = 0; i < kThreads; ++i) {
      auto& batches = group_block_.members.at(first + i)->batches_;
      batches.erase(batches.begin());
    }
  }
  // Rounded once, where a GPU may lose a bit more.
  void add_products(int thread, const Product& product, const double (&a)[64][16]) {
    for (int i = 0; i < product.values; ++i) {
      const Element at = element_of_group_c(thread, i);
      double sum = product.add ? static_cast<double>(product.sums[i]) : 0.0;
      for (int k = 0; k < 16; ++k) sum += a[at.row][k] * right_number(product, at.column, k);
      product.sums[i] = static_cast<float>(sum);
    }
  }
  // As the documentation of PTX places an operand that lies with its depth side by side, without swizzle.
  double right_number(const Product& product, int token, int depth) {
    const auto field = [&](int shift) { return static_cast<int>(product.right >> shift & 0x3FFFU) * 16; };
    const int byte = field(0) + depth / 8 * field(16) + token / 8 * field(32) + token % 8 * 16 + depth % 8 * 2;
    const std::uint32_t word = block_.shared.read(static_cast<std::size_t>(byte / 4), now_);
    return product.to_number(word >> (8 * (byte % 4)) & 0xFFFFU);
  }

  GroupBlock& group_block_;
  std::vector<Product> open_;
  std::vector<std::vector<Product>> batches_;
  bool begun_ = false;
};

}  // namespace lowbit::kernels::cuda::testing
