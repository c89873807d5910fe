#include <limits>
#include <utility>

#include "containers/gguf_reader.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

GgufType read_type(GgufCursor& cursor) {
  const auto id = cursor.read<std::uint32_t>("the type of a value");
  if (id > static_cast<std::uint32_t>(GgufType::kF64)) {
    fail(ErrorCode::kData, "unknown value type {} at byte {}, expected 0 to 12", id, cursor.position() - 4);
  }
  return static_cast<GgufType>(id);
}

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void check_scalar(GgufType type, const std::byte* from, std::size_t position) {
  if (type == GgufType::kBool && load<std::uint8_t>(from) > 1) {
    fail(ErrorCode::kData, "boolean {} at byte {}, expected 0 or 1", load<std::uint8_t>(from), position);
  }
  if (type == GgufType::kU64 && load<std::uint64_t>(from) > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    fail(ErrorCode::kData, "integer {} at byte {} is above 2^63 - 1", load<std::uint64_t>(from), position);
  }
}

std::int64_t load_integer(GgufType type, const std::byte* from) {
  switch (type) {
    case GgufType::kU8: return load<std::uint8_t>(from);
    case GgufType::kI8: return load<std::int8_t>(from);
    case GgufType::kU16: return load<std::uint16_t>(from);
    case GgufType::kI16: return load<std::int16_t>(from);
    case GgufType::kU32: return load<std::uint32_t>(from);
    case GgufType::kI32: return load<std::int32_t>(from);
    default: return load<std::int64_t>(from);
  }
}

double load_real(GgufType type, const std::byte* from) {
  return type == GgufType::kF32 ? double{load<float>(from)} : load<double>(from);
}

// All elements through `next`, as a vector, or the single one.
template <typename T, typename Next>
GgufValue collect(const GgufSlot& slot, Next next) {
  if (!slot.array) return T(next());
  std::vector<T> values;
  values.reserve(slot.count);
  for (std::uint64_t i = 0; i < slot.count; ++i) values.push_back(T(next()));
  return values;
}

}  // namespace

const std::byte* GgufCursor::take(std::uint64_t count, std::string_view what) {
  if (count > left()) {
    fail(ErrorCode::kData, "{} at byte {} takes {} bytes, but {} are left; the file is truncated or damaged", what,
         position_, count, left());
  }
  const std::byte* from = bytes_.data() + position_;
  position_ += count;
  return from;
}

std::string_view GgufCursor::string(std::string_view what) {
  const auto length = read<std::uint64_t>(what);
  return {reinterpret_cast<const char*>(take(length, what)), static_cast<std::size_t>(length)};
}

GgufSlot scan_gguf_value(GgufCursor& cursor, std::span<const std::byte> file) {
  GgufSlot slot;
  slot.type = read_type(cursor);
  slot.array = slot.type == GgufType::kArray;
  if (slot.array) {
    slot.type = read_type(cursor);
    if (slot.type == GgufType::kArray) fail(ErrorCode::kData, "arrays within arrays are not supported");
    slot.count = cursor.read<std::uint64_t>("the length of an array");
  }
  slot.position = cursor.position();
  const std::size_t width = gguf_scalar_bytes(slot.type);
  // Division first: the product may overflow. A string takes at least the eight bytes of its length.
  if (slot.count > cursor.left() / (width > 0 ? width : sizeof(std::uint64_t))) {
    fail(ErrorCode::kData, "{} values at byte {} do not fit into the {} bytes left; the file is truncated or damaged",
         slot.count, slot.position, cursor.left());
  }
  if (width == 0) {
    for (std::uint64_t i = 0; i < slot.count; ++i) static_cast<void>(cursor.string("a string"));
    return slot;
  }
  static_cast<void>(cursor.take(slot.count * width, "a value"));
  if (slot.type == GgufType::kBool || slot.type == GgufType::kU64) {
    for (std::uint64_t i = 0; i < slot.count; ++i) {
      check_scalar(slot.type, file.data() + slot.position + i * width, slot.position + i * width);
    }
  }
  return slot;
}

GgufValue decode_gguf_value(const GgufSlot& slot, std::span<const std::byte> file) {
  GgufCursor cursor(file, slot.position);
  const std::size_t width = gguf_scalar_bytes(slot.type);
  switch (slot.type) {
    case GgufType::kString: return collect<std::string>(slot, [&] { return cursor.string("a string"); });
    case GgufType::kBool:
      return collect<bool>(slot, [&] { return load<std::uint8_t>(cursor.take(1, "a value")) != 0; });
    case GgufType::kF32:
    case GgufType::kF64:
      return collect<double>(slot, [&] { return load_real(slot.type, cursor.take(width, "a value")); });
    default: return collect<std::int64_t>(slot, [&] { return load_integer(slot.type, cursor.take(width, "a value")); });
  }
}

}  // namespace lowbit
