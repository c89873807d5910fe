#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// A 128-bit content hash (XXH3). It finds equal inputs and accidental damage; it is no defence against forgery.
struct Hash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Hash&, const Hash&) = default;
  friend auto operator<=>(const Hash&, const Hash&) = default;
  /// 32 hexadecimal digits.
  [[nodiscard]] std::string hex() const;
};

/// Builds the hash of a sequence of fields. Strings carry their length, so that ("ab", "c") differs from ("a", "bc").
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  Hasher& add_bytes(const void* data, std::size_t size);
  Hasher& add(std::string_view text);
  Hasher& add(const Hash& hash);
  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  Hasher& add(Number value) {
    return add_bytes(&value, sizeof value);
  }
  [[nodiscard]] Hash finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] Hash hash_of(std::string_view text);
[[nodiscard]] Hash hash_of(std::span<const std::byte> bytes);

}  // namespace lowbit
