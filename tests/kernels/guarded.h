#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>

namespace lowbit::kernels::testing {

/// `count` values whose last byte (or, with kStart, whose first) touches a page that nobody may touch; there is such a
/// page on both sides.
template <typename T>
class Guarded {
 public:
  enum class Side { kStart, kEnd };
  Guarded(std::size_t count, Side side) : count_(count) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t inside = (count * sizeof(T) + page - 1) / page * page;
    bytes_ = inside + 2 * page;
    void* pages = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::runtime_error("no memory for guarded pages");
    pages_ = static_cast<std::byte*>(pages);
    ::mprotect(pages_, page, PROT_NONE);
    ::mprotect(pages_ + page + inside, page, PROT_NONE);
    std::byte* start = side == Side::kStart ? pages_ + page : pages_ + page + inside - count * sizeof(T);
    data_ = reinterpret_cast<T*>(start);
  }
  ~Guarded() { ::munmap(pages_, bytes_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  [[nodiscard]] std::span<T> span() { return {data_, count_}; }
  [[nodiscard]] T* data() { return data_; }
  void assign(const T* values) {
    if (count_ != 0) std::memcpy(data_, values, count_ * sizeof(T));
  }

 private:
  std::size_t count_;
  std::size_t bytes_ = 0;
  std::byte* pages_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace lowbit::kernels::testing
