#include "containers/layout.h"

#include <string>
#include <utility>

#include "lowbit/base/error.h"

namespace lowbit {

std::optional<std::int64_t> checked_elements(std::span<const std::int64_t> shape) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : product;
}

std::optional<std::uint64_t> checked_bytes(std::int64_t elements, const BlockSize& block) {
  std::int64_t bytes = 0;
  if (elements % block.elements != 0) return std::nullopt;
  if (__builtin_mul_overflow(elements / block.elements, block.bytes, &bytes)) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

DataStream::DataStream(std::vector<std::uint64_t> sizes, std::uint64_t alignment)
    : sizes_(std::move(sizes)), alignment_(alignment) {}

void DataStream::write(AtomicFile& file, const void* data, std::size_t size) {
  if (size == 0) return;
  while (current_ < sizes_.size() && sizes_[current_] == 0) ++current_;
  const std::uint64_t expected = current_ < sizes_.size() ? sizes_[current_] - done_ : 0;
  if (size > expected) {
    fail(ErrorCode::kInternal, "tensor {} of {} was given {} bytes, expected at most {}", current_, sizes_.size(), size,
         expected);
  }
  file.write(data, size);
  done_ += size;
  if (done_ < sizes_[current_]) return;
  file.write(std::string((alignment_ - done_ % alignment_) % alignment_, '\0'));
  ++current_;
  done_ = 0;
}

void DataStream::check_complete() const {
  std::uint64_t missing = 0;
  for (std::size_t i = current_; i < sizes_.size(); ++i) missing += sizes_[i];
  if (missing > done_) fail(ErrorCode::kInternal, "{} bytes of tensor data were not written", missing - done_);
}

}  // namespace lowbit
