#include "lowbit/base/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <new>

namespace lowbit {

struct Hasher::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  XXH3_state_t* xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

std::string Hash::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Hasher& Hasher::add_bytes(const void* data, std::size_t size) {
  XXH3_128bits_update(state_->xxh, data, size);
  return *this;
}

Hasher& Hasher::add(std::string_view text) {
  add(static_cast<std::uint64_t>(text.size()));
  return add_bytes(text.data(), text.size());
}

Hasher& Hasher::add(const Hash& hash) { return add(hash.low).add(hash.high); }

Hash Hasher::finish() const {
  const XXH128_hash_t digest = XXH3_128bits_digest(state_->xxh);
  return {digest.low64, digest.high64};
}

Hash hash_of(std::string_view text) { return Hasher().add_bytes(text.data(), text.size()).finish(); }
Hash hash_of(std::span<const std::byte> bytes) { return Hasher().add_bytes(bytes.data(), bytes.size()).finish(); }

}  // namespace lowbit
