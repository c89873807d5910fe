#pragma once

#include <arrow/memory_pool.h>
#include <arrow/status.h>

#include <cstdint>
#include <string>

namespace lowbit::columnar {

/// Arrow's memory, up to a limit: what a file says of its sizes is not believed beyond it.
class LimitedPool : public arrow::MemoryPool {
 public:
  explicit LimitedPool(std::uint64_t limit)
      : pool_(*arrow::default_memory_pool()), limit_(static_cast<std::int64_t>(limit)) {}

  arrow::Status Allocate(std::int64_t size, std::int64_t alignment, std::uint8_t** out) override {
    ARROW_RETURN_NOT_OK(check(size));
    ARROW_RETURN_NOT_OK(pool_.Allocate(size, alignment, out));
    used_ += size;
    return arrow::Status::OK();
  }
  arrow::Status Reallocate(std::int64_t old_size, std::int64_t new_size, std::int64_t alignment,
                           std::uint8_t** data) override {
    ARROW_RETURN_NOT_OK(check(new_size - old_size));
    ARROW_RETURN_NOT_OK(pool_.Reallocate(old_size, new_size, alignment, data));
    used_ += new_size - old_size;
    return arrow::Status::OK();
  }
  void Free(std::uint8_t* data, std::int64_t size, std::int64_t alignment) override {
    pool_.Free(data, size, alignment);
    used_ -= size;
  }
  [[nodiscard]] std::int64_t bytes_allocated() const override { return used_; }
  [[nodiscard]] std::int64_t total_bytes_allocated() const override { return pool_.total_bytes_allocated(); }
  [[nodiscard]] std::int64_t num_allocations() const override { return pool_.num_allocations(); }
  [[nodiscard]] std::string backend_name() const override { return pool_.backend_name(); }

 private:
  [[nodiscard]] arrow::Status check(std::int64_t more) const {
    if (more <= limit_ - used_) return arrow::Status::OK();
    return arrow::Status::OutOfMemory("decoding needs more than ", limit_, " bytes");
  }

  arrow::MemoryPool& pool_;
  std::int64_t limit_;
  std::int64_t used_ = 0;  // one thread reads
};

}  // namespace lowbit::columnar
