#pragma once

#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "emulator.h"
#include "kernels/cuda/float8.h"

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
  std::map<int, Meeting> group_barriers;
  std::map<int, class GroupThread*> members;
};

class GroupThread : public EmulatedThread {
 public:
  using BlockType = GroupBlock;
  GroupThread(GroupBlock& block, int index) : EmulatedThread(block, index), group_block_(block) {}

  [[nodiscard]] int warp() const { return index() / kLanes; }
  [[nodiscard]] int uniform(int value) const { return value; }
  template <int kRegisters>
  void give_registers() {}
  template <int kRegisters>
  void take_registers() {}
  [[nodiscard]] std::uint32_t shared_address(int word) const { return 4 * static_cast<std::uint32_t>(word); }

  void sync_group() {
    meet(group_block_.group_barriers[index() / kThreads], kThreads, nullptr, [] {});
    ++now_.group_barriers;
  }
  void store_columns(int word, const std::uint32_t (&matrices)[4]) {
    if (word % 4 != 0) throw std::runtime_error("a column of 16-bit numbers does not begin on 16 bytes");
    static constexpr char kPurpose = 0;
    const Columns offer{word, {matrices[0], matrices[1], matrices[2], matrices[3]}, &now_};
    collective(&kPurpose, &offer, [this] {
      for (int lane = 0; lane < kLanes; ++lane) store_column(lane / 8, lane % 8, *offered<Columns>(lane));
    });
  }

  void start_barrier(int word, int arrivals) {
    if (word % 2 != 0) throw std::runtime_error("a barrier in shared memory is not aligned");
    if (!group_block_.barriers.try_emplace(word, GroupBlock::Barrier{arrivals, arrivals, 0, 0, {}}).second) {
      throw std::runtime_error("a barrier in shared memory is started twice");
    }
  }
  void fence_barriers() {}
  void fence_operands() {}
  void arrive(int word) { arrive(group_block_, word); }
  void arrive_at(int rank, int word) { arrive(block_of(rank), word); }
  static void arrive(GroupBlock& block, int word) {
    GroupBlock::Barrier& barrier = barrier_at(block, word);
    if (barrier.left == 0) throw std::runtime_error("more arrivals at a barrier than its phase has");
    --barrier.left;
    advance(block, barrier);
  }
  void expect(int word, int bytes) {
    barrier_at(group_block_, word).bytes += bytes;
    arrive(word);
  }
  void wait_barrier(int word, std::uint32_t parity) {
    GroupBlock::Barrier& barrier = barrier_at(group_block_, word);
    deliver(group_block_, word);
    while (barrier.phase % 2 == parity) {
      barrier.waiting.push_back(fiber());
      block_.fibers.wait();
    }
  }
  void copy_bulk(int word, const void* from, int bytes, int barrier) {
    copy_bulk(group_block_, word, from, bytes, barrier);
  }
  void copy_bulk_to_all(int blocks, int word, const void* from, int bytes, int barrier) {
    for (int rank = 0; rank < blocks; ++rank) copy_bulk(block_of(rank), word, from, bytes, barrier);
  }

  struct ClusterWord {
    int rank;
    int word;
    [[nodiscard]] ClusterWord behind(int words) const { return {rank, word + words}; }
  };
  [[nodiscard]] static ClusterWord word_of(int rank, int word) { return {rank, word}; }
  void send(const ClusterWord& to, const Word4& words, const ClusterWord& barrier) {
    alignas(16) const Word4 sent = words;
    copy_bulk(block_of(to.rank), to.word, &sent, sizeof sent, barrier.word);
  }

  [[nodiscard]] int cluster_rank() const { return block(0) % block_.grid.cluster; }
  void sync_cluster() {
    meet(block_.cluster.all, block_.grid.threads * block_.grid.cluster, nullptr, [] {});
    ++now_.barriers;
  }

  void arrive_in_cluster() {}
  void wait_for_cluster() {
    meet(block_.cluster.all, block_.grid.threads * block_.grid.cluster, nullptr, [] {});
  }

  void begin_group_products() { begun_ = true; }
  template <typename Number, int kTokenTiles>
  void multiply_group(Number, float (&sums)[kTokenTiles][4], const std::uint32_t (&left)[4], std::uint64_t right,
                      bool add) {
    begin_product<HalfArithmetic<Number>>(&sums[0][0], 4 * kTokenTiles, left, right, add);
  }
  template <int kTokenTiles>
  void multiply_group_bytes(std::int32_t (&sums)[kTokenTiles][4], const std::uint32_t (&left)[4], std::uint64_t right) {
    begin_product<ByteArithmetic>(&sums[0][0], 4 * kTokenTiles, left, right, true);
  }
  void multiply_group_float8(float (&sums)[8][4], const std::uint32_t (&left)[4], std::uint64_t right, bool add) {
    begin_product<Float8Arithmetic>(&sums[0][0], 32, left, right, add);
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
  struct Columns {
    int word;
    std::uint32_t matrices[4];
    const Moment* now;
  };
  // A lane's register has two columns side by side of row lane / 4.
  void store_column(int matrix, int column, const Columns& to) {
    for (int pair = 0; pair < 4; ++pair) {
      const auto number = [&](int row) {
        return offered<Columns>(row * 4 + column / 2)->matrices[matrix] >> (column % 2 * 16) & 0xFFFFU;
      };
      group_block_.shared.write(static_cast<std::size_t>(to.word + pair), number(2 * pair) | number(2 * pair + 1) << 16,
                                *to.now);
    }
  }

  struct Product {
    void* sums;
    int values;  // of a thread
    const std::uint32_t* left;
    std::uint64_t right;
    bool add;
    void (GroupThread::*multiply)(std::size_t product);
  };
  template <typename Sum, typename Wide, std::size_t kDepth>
  static Sum add_exactly(Wide sum, const std::array<Wide, kDepth>& products) {
    for (const Wide product : products) sum += product;
    return static_cast<Sum>(sum);
  }
  template <typename Number>
  struct HalfArithmetic {
    using Sum = float;
    using Wide = double;  // rounded once, where a GPU may lose a bit more
    static constexpr int kDepth = 16;
    static Element left_place(int thread, int index) { return element_of_group_a16(thread, index); }
    static Wide left(std::uint32_t word, int index) { return right(word, index); }
    static Wide right(std::uint32_t word, int index) {
      return static_cast<double>(Number::to_float(word >> (16 * index) & 0xFFFFU));
    }
    static Sum add_up(Wide sum, const std::array<Wide, kDepth>& products) { return add_exactly<Sum>(sum, products); }
  };
  // The left operand is unsigned, the right one signed.
  struct ByteArithmetic {
    using Sum = std::int32_t;
    using Wide = std::int64_t;
    static constexpr int kDepth = 32;
    static Element left_place(int thread, int index) { return element_of_group_a8(thread, index); }
    static Wide left(std::uint32_t word, int index) { return word >> (8 * index) & 0xFFU; }
    static Wide right(std::uint32_t word, int index) { return static_cast<std::int8_t>(word >> (8 * index)); }
    static Sum add_up(Wide sum, const std::array<Wide, kDepth>& products) { return add_exactly<Sum>(sum, products); }
  };
  // Products are exact; what is added up is cut off below 2^-13 of the power of two of the largest term, as little as
  // Hopper's unit is known to keep.
  struct Float8Arithmetic {
    using Sum = float;
    using Wide = double;
    static constexpr int kDepth = 32;
    static Element left_place(int thread, int index) { return element_of_group_a8(thread, index); }
    static Wide left(std::uint32_t word, int index) { return right(word, index); }
    static Wide right(std::uint32_t word, int index) {
      return static_cast<double>(e4m3_as_float(word >> (8 * index) & 0xFFU));
    }
    static Sum add_up(Wide sum, const std::array<Wide, kDepth>& products) {
      double largest = std::fabs(sum);
      for (const double product : products) largest = std::max(largest, std::fabs(product));
      const auto exact = add_exactly<Sum>(sum, products);
      if (!std::isfinite(exact) || largest == 0) return exact;
      const double unit = std::ldexp(1.0, std::ilogb(largest) - 13);
      double units = std::trunc(sum / unit);
      for (const double product : products) units += std::trunc(product / unit);
      return static_cast<float>(units * unit);
    }
  };

  template <typename Arithmetic>
  void begin_product(void* sums, int values, const std::uint32_t* left, std::uint64_t right, bool add) {
    if (!begun_) throw std::runtime_error("a product of a group is not begun");
    open_.push_back({sums, values, left, right, add, &GroupThread::multiply<Arithmetic>});
  }

  [[nodiscard]] GroupBlock& block_of(int rank) const {
    return static_cast<GroupBlock&>(*block_.cluster.blocks.at(static_cast<std::size_t>(rank)));
  }

  static GroupBlock::Barrier& barrier_at(GroupBlock& block, int word) {
    const auto found = block.barriers.find(word);
    if (found == block.barriers.end()) throw std::runtime_error("a barrier in shared memory is not started");
    return found->second;
  }
  static void advance(GroupBlock& block, GroupBlock::Barrier& barrier) {
    if (barrier.left != 0 || barrier.bytes != 0) return;
    barrier.left = barrier.expected;
    ++barrier.phase;
    for (const int other : std::exchange(barrier.waiting, {})) block.fibers.wake(other);
  }
  static void copy_bulk(GroupBlock& block, int word, const void* from, int bytes, int barrier) {
    if (word % 4 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0 || bytes <= 0 || bytes % 16 != 0) {
      throw std::runtime_error("a copy in bulk is not made of 16 bytes on 16 bytes");
    }
    GroupBlock::Copy copy{static_cast<std::size_t>(word), {}, barrier};
    copy.values.resize(static_cast<std::size_t>(bytes) / 4);
    std::memcpy(copy.values.data(), from, static_cast<std::size_t>(bytes));
    for (std::size_t i = 0; i < copy.values.size(); ++i) block.shared.begin_bulk_copy(copy.word + i);
    block.copies.push_back(std::move(copy));
    if (!barrier_at(block, barrier).waiting.empty()) deliver(block, barrier);
  }
  static void deliver(GroupBlock& block, int word) {
    for (GroupBlock::Copy& copy : std::exchange(block.copies, {})) {
      if (copy.barrier != word) {
        block.copies.push_back(std::move(copy));
        continue;
      }
      for (std::size_t i = 0; i < copy.values.size(); ++i) block.shared.end_bulk_copy(copy.word + i, copy.values[i]);
      GroupBlock::Barrier& barrier = barrier_at(block, word);
      barrier.bytes -= 4 * static_cast<std::int64_t>(copy.values.size());
      advance(block, barrier);
    }
  }

  [[nodiscard]] const Product& product_of(int thread, std::size_t product) const {
    return group_block_.members.at(index() / kThreads * kThreads + thread)->batches_.front().at(product);
  }

  void multiply_batch() {
    for (std::size_t product = 0; product < batches_.front().size(); ++product) {
      const Product& here = batches_.front()[product];
      for (int i = 0; i < kThreads; ++i) {
        const Product& own = product_of(i, product);
        if (own.right != here.right || own.add != here.add || own.values != here.values) {
          throw std::runtime_error("threads of a group multiply by different operands");
        }
      }
      (this->*here.multiply)(product);
    }
    const int first = index() / kThreads * kThreads;
    for (int i = 0; i < kThreads; ++i) {
      auto& batches = group_block_.members.at(first + i)->batches_;
      batches.erase(batches.begin());
    }
  }

  template <typename Arithmetic>
  void multiply(std::size_t product) {
    using Sum = typename Arithmetic::Sum;
    using Wide = typename Arithmetic::Wide;
    constexpr int kDepth = Arithmetic::kDepth;
    constexpr int kPerWord = kDepth / 8;
    Wide left[64][kDepth];
    for (int i = 0; i < kThreads; ++i) {
      for (int e = 0; e < 4 * kPerWord; ++e) {
        const Element at = Arithmetic::left_place(i, e);
        left[at.row][at.column] = Arithmetic::left(product_of(i, product).left[e / kPerWord], e % kPerWord);
      }
    }
    const Product& here = batches_.front()[product];
    std::vector<std::array<Wide, kDepth>> right(static_cast<std::size_t>(2 * here.values));  // of each token
    for (std::size_t token = 0; token < right.size(); ++token) {
      for (int depth = 0; depth < kDepth; ++depth) {
        right[token][static_cast<std::size_t>(depth)] =
            Arithmetic::right(right_word<kPerWord>(here.right, static_cast<int>(token), depth), depth % kPerWord);
      }
    }
    for (int thread = 0; thread < kThreads; ++thread) {
      auto* sums = static_cast<Sum*>(product_of(thread, product).sums);
      for (int i = 0; i < here.values; ++i) {
        const Element at = element_of_group_c(thread, i);
        const auto& column = right[static_cast<std::size_t>(at.column)];
        std::array<Wide, kDepth> products;
        for (std::size_t k = 0; k < kDepth; ++k) products[k] = left[at.row][k] * column[k];
        sums[i] = Arithmetic::add_up(here.add ? static_cast<Wide>(sums[i]) : Wide{}, products);
      }
    }
  }
  // As the documentation of PTX places an operand that lies with its depth side by side, without swizzle.
  template <int kPerWord>
  std::uint32_t right_word(std::uint64_t right, int token, int depth) {
    constexpr int kLine = 4 * kPerWord;
    const auto field = [&](int shift) { return static_cast<int>(right >> shift & 0x3FFFU) * 16; };
    const int byte =
        field(0) + depth / kLine * field(16) + token / 8 * field(32) + token % 8 * 16 + depth % kLine * 4 / kPerWord;
    return block_.shared.read(static_cast<std::size_t>(byte / 4), now_);
  }

  GroupBlock& group_block_;
  std::vector<Product> open_;
  std::vector<std::vector<Product>> batches_;
  bool begun_ = false;
};

}  // namespace lowbit::kernels::cuda::testing
