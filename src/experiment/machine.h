#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace lowbit {

/// What this process holds in main memory, in bytes.
struct ResidentMemory {
  std::int64_t anonymous = 0;    ///< its own: allocations and stacks
  std::int64_t file_backed = 0;  ///< pages of the program, of libraries and of mapped files
  [[nodiscard]] std::int64_t total() const { return anonymous + file_backed; }
};
[[nodiscard]] ResidentMemory resident_memory();

/// What the system could give without swapping.
[[nodiscard]] std::int64_t available_memory_bytes();

/// Looks at this process's memory a hundred times a second while it lives; the system itself keeps only the total's
/// peak.
class MemoryWatch {
 public:
  MemoryWatch();
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;
  /// The most of its own that the process held at once.
  [[nodiscard]] std::int64_t peak_anonymous();

 private:
  void look();
  std::atomic<std::int64_t> peak_anonymous_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// How fast this machine computes, from about a quarter of a second of measuring. Products are timed by the cores' own
/// clocks, so that other programs on the machine do not make it look slow.
struct MachineSpeed {
  double multiply_adds = 0;         ///< a second, of the models' most common product on all threads
  double double_multiply_adds = 0;  ///< a second, of float64 matrix products on one thread
  double bytes = 0;                 ///< a second, read and written by one thread's copy
  double busy = 1;                  ///< elapsed over used time of the threads while that was measured
};

}  // namespace lowbit
