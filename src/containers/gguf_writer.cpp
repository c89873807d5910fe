#include "lowbit/containers/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <utility>

#include "containers/gguf_types.h"
#include "containers/layout.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"

namespace lowbit {
namespace {

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  out += text;
}

template <typename T>
void append_integer(std::string& out, std::int64_t value) {
  if (!std::in_range<T>(value)) fail(ErrorCode::kInternal, "{} does not fit its GGUF type", value);
  append(out, static_cast<T>(value));
}

[[noreturn]] void fail_kind() { fail(ErrorCode::kInternal, "the value is not of the GGUF type given"); }

void append_scalar(std::string& out, GgufType type, std::int64_t value) {
  switch (type) {
    case GgufType::kU8: return append_integer<std::uint8_t>(out, value);
    case GgufType::kI8: return append_integer<std::int8_t>(out, value);
    case GgufType::kU16: return append_integer<std::uint16_t>(out, value);
    case GgufType::kI16: return append_integer<std::int16_t>(out, value);
    case GgufType::kU32: return append_integer<std::uint32_t>(out, value);
    case GgufType::kI32: return append_integer<std::int32_t>(out, value);
    case GgufType::kU64: return append_integer<std::uint64_t>(out, value);
    case GgufType::kI64: return append_integer<std::int64_t>(out, value);
    default: fail_kind();
  }
}

void append_scalar(std::string& out, GgufType type, double value) {
  if (type == GgufType::kF32) return append(out, static_cast<float>(value));
  if (type == GgufType::kF64) return append(out, value);
  fail_kind();
}

void append_scalar(std::string& out, GgufType type, bool value) {
  if (type != GgufType::kBool) fail_kind();
  append(out, static_cast<std::uint8_t>(value));
}

void append_scalar(std::string& out, GgufType type, const std::string& value) {
  if (type != GgufType::kString) fail_kind();
  append_string(out, value);
}

template <typename T>
void append_value(std::string& out, GgufType type, const T& value) {
  append(out, static_cast<std::uint32_t>(type));
  append_scalar(out, type, value);
}

template <typename T>
void append_value(std::string& out, GgufType type, const std::vector<T>& values) {
  append(out, static_cast<std::uint32_t>(GgufType::kArray));
  append(out, static_cast<std::uint32_t>(type));
  append(out, std::uint64_t{values.size()});
  for (const T& value : values) append_scalar(out, type, value);
}

void append_item(std::string& out, const GgufItem& item) {
  with_context(fmt::format("key '{}'", item.key), [&] {
    append_string(out, item.key);
    std::visit([&](const auto& value) { append_value(out, item.type, value); }, item.value);
  });
}

std::uint64_t alignment_of(const std::vector<GgufItem>& metadata) {
  for (const GgufItem& item : metadata) {
    if (item.key != "general.alignment") continue;
    const std::int64_t* number = std::get_if<std::int64_t>(&item.value);
    if (number == nullptr || *number <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(*number))) {
      fail(ErrorCode::kInternal, "'general.alignment' must be a power of two");
    }
    return static_cast<std::uint64_t>(*number);
  }
  return kGgufDefaultAlignment;
}

// Appends the description and returns the bytes of the data, which begins at `offset`.
std::uint64_t append_tensor(std::string& out, const TensorDeclaration& tensor, std::uint64_t offset) {
  const auto type = gguf_tensor_type(tensor.type);
  if (!type) {
    fail(ErrorCode::kInternal, "tensor '{}': GGUF has no type {}", tensor.name, storage_type_name(tensor.type));
  }
  const auto elements = checked_elements(tensor.shape);
  const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  const auto bytes = elements ? checked_bytes(*elements, type->block) : std::nullopt;
  if (!bytes || row % type->block.elements != 0 || tensor.shape.size() > kGgufMaxDimensions) {
    fail(ErrorCode::kInternal, "tensor '{}': a shape of [{}] cannot be written as {}", tensor.name,
         fmt::join(tensor.shape, ", "), storage_type_name(tensor.type));
  }
  append_string(out, tensor.name);
  append(out, static_cast<std::uint32_t>(tensor.shape.size()));
  for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it) append(out, *it);
  append(out, type->id);
  append(out, offset);
  return *bytes;
}

template <typename Named>
void check_unique(const std::vector<Named>& list, std::string Named::*name) {
  std::set<std::string_view> seen;
  for (const Named& entry : list) {
    if (!seen.insert(entry.*name).second) fail(ErrorCode::kInternal, "'{}' is declared twice", entry.*name);
  }
}

}  // namespace

struct GgufWriter::Data {
  AtomicFile file;
  DataStream stream;
};

GgufWriter::GgufWriter(std::filesystem::path path, const std::vector<GgufItem>& metadata,
                       const std::vector<TensorDeclaration>& tensors) {
  check_unique(metadata, &GgufItem::key);
  check_unique(tensors, &TensorDeclaration::name);
  const std::uint64_t alignment = alignment_of(metadata);
  std::string header;
  append(header, kGgufMagic);
  append(header, std::uint32_t{3});
  append(header, std::uint64_t{tensors.size()});
  append(header, std::uint64_t{metadata.size()});
  for (const GgufItem& item : metadata) append_item(header, item);
  std::vector<std::uint64_t> sizes;
  std::uint64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    sizes.push_back(append_tensor(header, tensor, offset));
    offset += (sizes.back() + alignment - 1) / alignment * alignment;
  }
  header.append((alignment - header.size() % alignment) % alignment, '\0');
  data_.reset(new Data{AtomicFile(std::move(path)), DataStream(std::move(sizes), alignment)});
  data_->file.write(header);
}

GgufWriter::~GgufWriter() = default;

void GgufWriter::write(const void* data, std::size_t size) { data_->stream.write(data_->file, data, size); }

void GgufWriter::finish() {
  data_->stream.check_complete();
  data_->file.commit();
}

}  // namespace lowbit
