#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>

#include "fibers.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/fragments.h"
#include "shared_memory.h"

// A model of a GPU's blocks of threads, on which the kernels' own sources run: barriers, warps that exchange values,
// matrix instructions, copies in flight, shared memory that notices races. Blocks run one after another in random
// order.
namespace lowbit::kernels::cuda::testing {

struct Grid {
  std::array<int, 3> blocks{1, 1, 1};
  int threads = 32;
  std::size_t shared_bytes = 0;
  int cluster = 1;          ///< blocks side by side in the first dimension that run together
  bool last_first = false;  ///< for blocks that wait for later ones; else they run in random order
};

// Threads that wait for each other: the last one wakes the others.
struct Meeting {
  std::vector<int> waiting;
  std::array<const void*, 32> offers{};
  const void* purpose = nullptr;
};

class Block;

struct Cluster {
  explicit Cluster(std::uint64_t seed) : fibers(seed) {}
  Fibers fibers;
  std::vector<Block*> blocks;
  Meeting all;
};

class Block {
 public:
  Block(const Grid& of, std::array<int, 3> place, Cluster& within)
      : grid(of),
        index(place),
        shared(of.shared_bytes),
        cluster(within),
        fibers(within.fibers),
        first_fiber(static_cast<int>(within.blocks.size()) * of.threads),
        warps(static_cast<std::size_t>(of.threads / 32)) {}

  const Grid& grid;
  std::array<int, 3> index;
  SharedMemory shared;
  Cluster& cluster;
  Fibers& fibers;
  int first_fiber;  ///< of those of the cluster
  std::vector<Meeting> warps;
  Meeting all;
};

/// The `Thread` of the kernels' sources.
class EmulatedThread {
 public:
  using BlockType = Block;
  EmulatedThread(Block& block, int index) : block_(block) { now_.thread = index; }

  [[nodiscard]] int index() const { return now_.thread; }
  [[nodiscard]] int block(int dimension) const { return block_.index[static_cast<std::size_t>(dimension)]; }
  [[nodiscard]] int blocks(int dimension) const { return block_.grid.blocks[static_cast<std::size_t>(dimension)]; }
  void allow_next_grid() {}
  void wait_for_previous_grid() {}
  void fence() {}

  Word4 stream16(const void* from) { return read<Word4>(from, 16); }
  Word2 stream8(const void* from) { return read<Word2>(from, 8); }
  std::uint32_t stream4(const void* from) { return read<std::uint32_t>(from, 4); }
  Word4 read16(const void* from) { return read<Word4>(from, 16); }
  Word2 read8(const void* from) { return read<Word2>(from, 8); }
  std::uint32_t read4(const void* from) { return read<std::uint32_t>(from, 4); }
  std::uint32_t read2(const void* from) { return read<std::uint16_t>(from, 2); }
  float read_shared_by_blocks(const float* from) { return *from; }
  Word4 read16_shared_by_blocks(const void* from) { return read<Word4>(from, 16); }
  std::uint32_t atomic_add(std::uint32_t* target, std::uint32_t value) {
    const std::uint32_t before = *target;
    *target += value;
    return before;
  }
  void signal(std::uint32_t* counter) { ++*counter; }
  // Whoever is waited for has run: Grid::last_first.
  void wait_for_signals(const std::uint32_t* counter, std::uint32_t count) {
    if (*counter != count) throw std::runtime_error("a thread waits for blocks that have not signalled");
  }

  void sync() {
    meet(block_.all, block_.grid.threads, nullptr, [] {});
    ++now_.barriers;
  }
  void sync_warp() {
    meet(own_warp(), kLanes, nullptr, [] {});
    ++now_.warp_barriers;
  }

  template <typename T>
  T shuffle_xor(T value, int mask) {
    static_assert(sizeof(T) == 4);
    T result{};
    Exchange<T> offer{value, mask, &result};
    collective(&kShuffle, &offer, [this] {
      for (int lane = 0; lane < kLanes; ++lane) {
        const auto* own = offered<Exchange<T>>(lane);
        *own->result = offered<Exchange<T>>(lane ^ own->mask)->value;
      }
    });
    return result;
  }

  template <typename Number>
  void multiply_add(Number, float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
    Operands<float> offer{sums, {a[0], a[1], a[2], a[3]}, {b0, b1}};
    collective(&kMultiply, &offer, [this] { multiply_matrices<float, double, 16>(as_number<Number>); });
  }
  void multiply_add_bytes(std::int32_t (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
    Operands<std::int32_t> offer{sums, {a[0], a[1], a[2], a[3]}, {b0, b1}};
    collective(&kMultiplyBytes, &offer, [this] { multiply_matrices<std::int32_t, std::int64_t, 32>(as_byte); });
  }
  void multiply_add_signed_bytes(std::int32_t (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                 std::uint32_t b1) {
    Operands<std::int32_t> offer{sums, {a[0], a[1], a[2], a[3]}, {b0, b1}};
    collective(&kMultiplySignedBytes, &offer, [this] {
      multiply_matrices<std::int32_t, std::int64_t, 32>(
          [](std::uint32_t word, int index, bool) { return as_byte(word, index, true); });
    });
  }

  template <typename T>
  class Shared {
   public:
    explicit Shared(EmulatedThread& thread) : thread_(thread) {}
    [[nodiscard]] T load(int index) const {
      return std::bit_cast<T>(thread_.block_.shared.read(static_cast<std::size_t>(index), thread_.now_));
    }
    void store(int index, T value) {
      thread_.block_.shared.write(static_cast<std::size_t>(index), std::bit_cast<std::uint32_t>(value), thread_.now_);
    }
    void add(int index, T value) {
      const auto sum = [value](std::uint32_t before) {
        return std::bit_cast<std::uint32_t>(static_cast<T>(std::bit_cast<T>(before) + value));
      };
      thread_.block_.shared.change(static_cast<std::size_t>(index), sum, thread_.now_);
    }
    void store16(int index, const Word4& words) {
      if (index % 4 != 0) throw std::runtime_error("a store of 16 bytes to shared memory is not aligned");
      for (int i = 0; i < 4; ++i) store(index + i, std::bit_cast<T>(words.x[i]));
    }
    [[nodiscard]] Word4 load16(int index) const {
      if (index % 4 != 0) throw std::runtime_error("a load of 16 bytes from shared memory is not aligned");
      Word4 result;
      for (int i = 0; i < 4; ++i) result.x[i] = std::bit_cast<std::uint32_t>(load(index + i));
      return result;
    }
    [[nodiscard]] Word2 load8(int index) const {
      if (index % 2 != 0) throw std::runtime_error("a load of 8 bytes from shared memory is not aligned");
      return {{std::bit_cast<std::uint32_t>(load(index)), std::bit_cast<std::uint32_t>(load(index + 1))}};
    }
    void copy_async16(int index, const void* from, bool present) { copy_async<16>(index, from, present); }
    template <int kBytes>
    void copy_async(int index, const void* from, bool present) {
      constexpr int kWords = kBytes / 4;
      if (index % kWords != 0) {
        throw std::runtime_error(fmt::format("a copy of {} bytes to shared memory is not aligned", kBytes));
      }
      using Words = std::array<std::uint32_t, kWords>;
      const Words source = present ? thread_.read<Words>(from, kBytes) : Words{};
      for (int i = 0; i < kWords; ++i) {
        thread_.block_.shared.begin_copy(static_cast<std::size_t>(index + i), thread_.now_);
        thread_.copies_.back().push_back({static_cast<std::size_t>(index + i), source[static_cast<std::size_t>(i)]});
      }
    }

   private:
    EmulatedThread& thread_;
  };
  template <typename T>
  Shared<T> shared() {
    static_assert(sizeof(T) == 4);
    return Shared<T>(*this);
  }
  void commit_copies() { copies_.emplace_back(); }
  /// Until at most `pending` of the committed groups are on their way.
  template <int kPending>
  void wait_copies() {
    while (copies_.size() > kPending + 1) {
      for (const Copy& copy : copies_.front()) block_.shared.end_copy(copy.word, copy.value, now_);
      copies_.erase(copies_.begin());
    }
  }

 protected:
  [[nodiscard]] int fiber() const { return block_.first_fiber + now_.thread; }

  template <typename Action>
  void meet(Meeting& meeting, int size, const void* purpose, const Action& action) {
    if (!meeting.waiting.empty() && meeting.purpose != purpose) {
      throw std::runtime_error("threads of a warp execute different instructions that need all of them");
    }
    meeting.purpose = purpose;
    if (static_cast<int>(meeting.waiting.size()) + 1 < size) {
      meeting.waiting.push_back(fiber());
      block_.fibers.wait();
      return;
    }
    action();
    for (const int other : meeting.waiting) block_.fibers.wake(other);
    meeting.waiting.clear();
  }

  Meeting& own_warp() { return block_.warps[static_cast<std::size_t>(now_.thread / kLanes)]; }
  template <typename T>
  const T* offered(int lane) {
    return static_cast<const T*>(own_warp().offers[static_cast<std::size_t>(lane)]);
  }

  template <typename Action>
  void collective(const void* purpose, const void* offer, const Action& action) {
    own_warp().offers[static_cast<std::size_t>(now_.thread % kLanes)] = offer;
    meet(own_warp(), kLanes, purpose, action);
  }

  Block& block_;
  Moment now_;

 private:
  struct Copy {
    std::size_t word;
    std::uint32_t value;
  };
  template <typename T>
  struct Exchange {
    T value;
    int mask;
    T* result;
  };
  template <typename Sum>
  struct Operands {
    Sum* sums;
    std::uint32_t a[4];
    std::uint32_t b[2];
  };
  static constexpr char kShuffle = 0;
  static constexpr char kMultiply = 0;
  static constexpr char kMultiplyBytes = 0;
  static constexpr char kMultiplySignedBytes = 0;

  template <typename T>
  T read(const void* from, std::uintptr_t alignment) {
    if (reinterpret_cast<std::uintptr_t>(from) % alignment != 0) {
      throw std::runtime_error(fmt::format("a load of {} bytes is not aligned", alignment));
    }
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }

  // Products and their sum are exact (float16 in double: 2 * 11 bits and 16 terms over a range of 2^80 are not always,
  // but whole numbers times float16 are); the result is rounded once, where a GPU may lose a bit more.
  template <typename Sum, typename Wide, int kDepth, typename Decode>
  void multiply_matrices(const Decode& decode) {
    constexpr int kPerWord = kDepth / 8;
    Wide a[16][kDepth];
    Wide b[kDepth][8];
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto* own = offered<Operands<Sum>>(lane);
      for (int i = 0; i < 4 * kPerWord; ++i) {
        const Element at = kDepth == 16 ? element_of_a16(lane, i) : element_of_a8(lane, i);
        a[at.row][at.column] = decode(own->a[i / kPerWord], i % kPerWord, false);
      }
      for (int i = 0; i < 2 * kPerWord; ++i) {
        const Element at = kDepth == 16 ? element_of_b16(lane, i) : element_of_b8(lane, i);
        b[at.row][at.column] = decode(own->b[i / kPerWord], i % kPerWord, true);
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      Sum* sums = offered<Operands<Sum>>(lane)->sums;
      for (int i = 0; i < 4; ++i) {
        const Element at = element_of_c(lane, i);
        Wide sum = sums[i];
        for (int k = 0; k < kDepth; ++k) sum += a[at.row][k] * b[k][at.column];
        sums[i] = static_cast<Sum>(sum);
      }
    }
  }
  template <typename Number>
  static double as_number(std::uint32_t word, int index, bool) {
    return static_cast<double>(Number::to_float((word >> (16 * index)) & 0xFFFFU));
  }
  // The left operand is unsigned, the right one signed.
  static std::int64_t as_byte(std::uint32_t word, int index, bool right) {
    const auto byte = static_cast<std::uint8_t>(word >> (8 * index));
    return right ? static_cast<std::int8_t>(byte) : byte;
  }

  std::vector<std::vector<Copy>> copies_{1};
};

/// Runs `kernel(thread)` for every thread of the grid.
template <typename Thread = EmulatedThread, typename Kernel>
void launch(const Grid& grid, std::uint64_t seed, const Kernel& kernel) {
  if (grid.blocks[0] % grid.cluster != 0) throw std::runtime_error("a grid is not made of whole clusters");
  const int row = grid.blocks[0] / grid.cluster;
  const int count = row * grid.blocks[1] * grid.blocks[2];
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 engine(seed);
  std::shuffle(order.begin(), order.end(), engine);
  if (grid.last_first) std::ranges::sort(order, std::greater());
  for (const int number : order) {
    Cluster cluster(engine());
    std::vector<std::unique_ptr<typename Thread::BlockType>> blocks;
    // Not on the fibers' stacks: those of threads that never end are let go as they are.
    std::vector<Thread> threads;
    for (int rank = 0; rank < grid.cluster; ++rank) {
      const std::array<int, 3> index = {number % row * grid.cluster + rank, number / row % grid.blocks[1],
                                        number / row / grid.blocks[1]};
      blocks.push_back(std::make_unique<typename Thread::BlockType>(grid, index, cluster));
      cluster.blocks.push_back(blocks.back().get());
      for (int i = 0; i < grid.threads; ++i) threads.emplace_back(*blocks.back(), i);
    }
    cluster.fibers.run(grid.threads * grid.cluster, [&](int i) { kernel(threads[static_cast<std::size_t>(i)]); });
  }
}

}  // namespace lowbit::kernels::cuda::testing
