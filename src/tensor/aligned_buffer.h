#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace lowbit {

/// Uninitialised float32 numbers that begin on a cache line.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::int64_t count)
      : data_(static_cast<float*>(
            ::operator new (static_cast<std::size_t>(count) * sizeof(float), std::align_val_t{kAlignment}))) {}
  [[nodiscard]] float* data() const { return data_.get(); }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(float* data) const { ::operator delete (data, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float, Free> data_;
};

}  // namespace lowbit
