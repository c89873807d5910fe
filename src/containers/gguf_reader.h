#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "containers/gguf_types.h"
#include "lowbit/containers/gguf.h"

namespace lowbit {

/// Walks through the bytes of a file; asking for more than is left throws `kData` with the position.
class GgufCursor {
 public:
  explicit GgufCursor(std::span<const std::byte> bytes, std::size_t position = 0)
      : bytes_(bytes), position_(position) {}

  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::uint64_t left() const { return bytes_.size() - position_; }
  /// The next `count` bytes, which become `what` in an error.
  const std::byte* take(std::uint64_t count, std::string_view what);
  template <typename T>
  T read(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what), sizeof value);
    return value;
  }
  std::string_view string(std::string_view what);

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_;
};

/// Where a metadata value lies; for an array `type` is that of the elements.
struct GgufSlot {
  GgufType type = GgufType::kU8;
  bool array = false;
  std::uint64_t count = 1;
  std::size_t position = 0;  // of the scalar or the first element
};

/// Reads the type and checks the value behind it entirely (bounds, booleans 0 or 1, integers within int64) without
/// allocating, and leaves the cursor behind it.
[[nodiscard]] GgufSlot scan_gguf_value(GgufCursor& cursor, std::span<const std::byte> file);
/// The value of a slot that was scanned.
[[nodiscard]] GgufValue decode_gguf_value(const GgufSlot& slot, std::span<const std::byte> file);

}  // namespace lowbit
