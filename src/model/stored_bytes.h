#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace lowbit {

/// Leaves new elements as memory happens to be, for what is overwritten at once.
template <typename Element>
struct Uninitialized : std::allocator<Element> {
  template <typename Other>
  struct rebind {
    using other = Uninitialized<Other>;
  };
  template <typename Made>
  void construct(Made* place) {
    ::new (static_cast<void*>(place)) Made;
  }
  template <typename Made, typename... Arguments>
  void construct(Made* place, Arguments&&... arguments) {
    ::new (static_cast<void*>(place)) Made(std::forward<Arguments>(arguments)...);
  }
};

/// The bytes of a tensor on their way to a file.
using StoredBytes = std::vector<std::byte, Uninitialized<std::byte>>;

}  // namespace lowbit
