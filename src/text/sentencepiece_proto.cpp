#include "text/sentencepiece_proto.h"

#include <cstdint>
#include <limits>
#include <optional>

#include "text/character_map.h"

namespace lowbit {
namespace {

// A field of a protocol buffer: a number, or bytes.
struct Field {
  std::uint64_t number;
  std::uint64_t value;
  std::string_view bytes;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  // Nothing at the end or where the bytes are no message.
  std::optional<Field> next() {
    const auto tag = varint();
    if (!tag || *tag > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
    Field field{*tag >> 3, 0, {}};
    switch (*tag & 7) {
      case 0: {
        const auto value = varint();
        if (!value) return std::nullopt;
        field.value = *value;
        return field;
      }
      case 1: return take(8, field);
      case 2: {
        const auto size = varint();
        return size ? take(*size, field) : std::nullopt;
      }
      case 5: return take(4, field);
      default: return std::nullopt;
    }
  }

  // Whether everything was read; false where `next` stopped at what is no field.
  [[nodiscard]] bool done() const { return in_.empty(); }

 private:
  std::optional<Field> take(std::uint64_t size, Field field) {
    if (size > in_.size()) return std::nullopt;
    field.bytes = in_.substr(0, size);
    in_.remove_prefix(size);
    return field;
  }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !in_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(in_.front());
      in_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::string_view in_;
};

// Field numbers and defaults of sentencepiece_model.proto.
constexpr std::uint64_t kTrainerSpec = 2;
constexpr std::uint64_t kNormalizerSpec = 3;
constexpr std::uint64_t kDenormalizerSpec = 5;
constexpr std::uint64_t kModelType = 3;
constexpr std::uint64_t kModelTypeBpe = 2;
constexpr std::uint64_t kWhitespaceAsSuffix = 24;
constexpr std::uint64_t kCharacterMap = 2;
constexpr std::uint64_t kRemoveExtraWhitespace = 4;
constexpr std::uint64_t kEscapeWhitespace = 5;

bool has_sound_map(std::string_view normalizer) {
  Reader reader(normalizer);
  while (const auto field = reader.next()) {
    if (field->number == kCharacterMap && !is_sound_character_map(field->bytes)) return false;
  }
  return reader.done();
}

}  // namespace

bool has_sound_character_maps(std::string_view model) {
  Reader reader(model);
  while (const auto field = reader.next()) {
    const bool normalizes = field->number == kNormalizerSpec || field->number == kDenormalizerSpec;
    if (normalizes && !has_sound_map(field->bytes)) return false;
  }
  return reader.done();
}

bool may_code_by_words(std::string_view model) {
  bool bpe = false;
  bool suffix = false;
  bool mapped = false;
  bool removes = true;
  bool escapes = true;
  Reader reader(model);
  while (const auto field = reader.next()) {
    Reader inner(field->bytes);
    if (field->number == kTrainerSpec) {
      while (const auto entry = inner.next()) {
        if (entry->number == kModelType) bpe = entry->value == kModelTypeBpe;
        if (entry->number == kWhitespaceAsSuffix) suffix = entry->value != 0;
      }
    } else if (field->number == kNormalizerSpec) {
      while (const auto entry = inner.next()) {
        if (entry->number == kCharacterMap) mapped = !entry->bytes.empty();
        if (entry->number == kRemoveExtraWhitespace) removes = entry->value != 0;
        if (entry->number == kEscapeWhitespace) escapes = entry->value != 0;
      }
    }
  }
  return bpe && !suffix && !mapped && !removes && escapes;
}

}  // namespace lowbit
