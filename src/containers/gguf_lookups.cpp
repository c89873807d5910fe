#include <array>

#include "lowbit/base/error.h"
#include "lowbit/containers/gguf.h"

namespace lowbit {
namespace {

// In the order of the variant's alternatives.
constexpr std::array kKinds = {"a boolean",          "an integer",         "a real number",   "a string",
                               "a list of booleans", "a list of integers", "a list of reals", "a list of strings"};
static_assert(kKinds.size() == std::variant_size_v<GgufValue>);

template <typename T>
constexpr std::size_t kind_of() {
  return GgufValue(T{}).index();
}

// Null when the key is absent.
template <typename T>
const T* find(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.metadata(key);
  if (value == nullptr) return nullptr;
  const T* held = std::get_if<T>(value);
  if (held == nullptr) {
    fail(ErrorCode::kData, "{}: key '{}' holds {}, expected {}", file.path().string(), key, kKinds[value->index()],
         kKinds[kind_of<T>()]);
  }
  return held;
}

template <typename T>
const T& require(const GgufFile& file, std::string_view key) {
  const T* held = find<T>(file, key);
  if (held == nullptr) {
    fail(ErrorCode::kData, "{}: key '{}' is missing, expected {}", file.path().string(), key, kKinds[kind_of<T>()]);
  }
  return *held;
}

template <typename T>
T get(const GgufFile& file, std::string_view key, T fallback) {
  const T* held = find<T>(file, key);
  return held == nullptr ? fallback : *held;
}

}  // namespace

std::string GgufFile::string(std::string_view key) const { return require<std::string>(*this, key); }
std::int64_t GgufFile::integer(std::string_view key) const { return require<std::int64_t>(*this, key); }
std::int64_t GgufFile::integer(std::string_view key, std::int64_t fallback) const { return get(*this, key, fallback); }
double GgufFile::real(std::string_view key) const { return require<double>(*this, key); }
double GgufFile::real(std::string_view key, double fallback) const { return get(*this, key, fallback); }
bool GgufFile::boolean(std::string_view key, bool fallback) const { return get(*this, key, fallback); }

const std::vector<std::string>& GgufFile::strings(std::string_view key) const {
  return require<std::vector<std::string>>(*this, key);
}
const std::vector<std::int64_t>& GgufFile::integers(std::string_view key) const {
  return require<std::vector<std::int64_t>>(*this, key);
}
const std::vector<double>& GgufFile::reals(std::string_view key) const {
  return require<std::vector<double>>(*this, key);
}

}  // namespace lowbit
