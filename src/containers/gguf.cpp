#include "lowbit/containers/gguf.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "containers/gguf_reader.h"
#include "containers/layout.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

static_assert(std::endian::native == std::endian::little);

// Far above any model's needs; they bound the memory that lists of tiny entries can take.
constexpr std::uint64_t kMaxKeys = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 18;
constexpr std::size_t kMaxNameBytes = 1024;

struct Counts {
  std::uint64_t tensors = 0;
  std::uint64_t keys = 0;
};

Counts read_preamble(GgufCursor& cursor) {
  if (cursor.left() < 4 || cursor.read<std::uint32_t>("the magic") != kGgufMagic) {
    fail(ErrorCode::kData, "the file does not start with 'GGUF'; it is no GGUF file");
  }
  const auto version = cursor.read<std::uint32_t>("the version");
  if (version != 0 && (version & 0xFFFF) == 0) {
    fail(ErrorCode::kUnsupported, "the file is big-endian, which is not supported; convert it to little-endian");
  }
  if (version < 2 || version > 3) {
    fail(ErrorCode::kUnsupported, "GGUF version {} is not supported, expected 2 or 3; convert the model anew", version);
  }
  Counts counts;
  counts.tensors = cursor.read<std::uint64_t>("the number of tensors");
  counts.keys = cursor.read<std::uint64_t>("the number of keys");
  if (counts.keys > kMaxKeys) fail(ErrorCode::kData, "{} metadata keys, expected at most {}", counts.keys, kMaxKeys);
  if (counts.tensors > kMaxTensors) {
    fail(ErrorCode::kData, "{} tensors, expected at most {}", counts.tensors, kMaxTensors);
  }
  return counts;
}

std::string_view read_name(GgufCursor& cursor, std::string_view what) {
  const std::size_t position = cursor.position();
  const std::string_view name = cursor.string(what);
  if (name.empty() || name.size() > kMaxNameBytes) {
    fail(ErrorCode::kData, "{} at byte {} has {} bytes, expected 1 to {}", what, position, name.size(), kMaxNameBytes);
  }
  if (find_invalid_utf8(name)) fail(ErrorCode::kData, "{} at byte {} is not valid UTF-8", what, position);
  return name;
}

// A tensor's description; `offset` counts from the start of the data.
struct Description {
  TensorEntry entry;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

std::vector<std::int64_t> read_shape(GgufCursor& cursor) {
  const auto rank = cursor.read<std::uint32_t>("the number of dimensions");
  if (rank > kGgufMaxDimensions) fail(ErrorCode::kData, "{} dimensions, expected at most {}", rank, kGgufMaxDimensions);
  std::vector<std::int64_t> shape;
  for (std::uint32_t i = 0; i < rank; ++i) shape.push_back(cursor.read<std::int64_t>("a dimension"));
  std::reverse(shape.begin(), shape.end());
  return shape;
}

Description read_description(GgufCursor& cursor) {
  Description result;
  result.entry.name = read_name(cursor, "a tensor's name");
  with_context(fmt::format("tensor '{}'", result.entry.name), [&] {
    result.entry.shape = read_shape(cursor);
    const auto id = cursor.read<std::uint32_t>("the type");
    const auto type = gguf_tensor_type(id);
    if (!type) {
      fail(ErrorCode::kData, "unknown type {} (the file is damaged or newer than this program)", id);
    }
    result.entry.type = type->type;
    const auto elements = checked_elements(result.entry.shape);
    if (!elements) fail(ErrorCode::kData, "the shape [{}] overflows", fmt::join(result.entry.shape, ", "));
    const std::int64_t row = result.entry.shape.empty() ? 1 : result.entry.shape.back();
    if (row % type->block.elements != 0) {
      fail(ErrorCode::kData, "rows of {} are no whole number of blocks of {}", row, type->block.elements);
    }
    const auto bytes = checked_bytes(*elements, type->block);
    if (!bytes) fail(ErrorCode::kData, "the shape [{}] overflows", fmt::join(result.entry.shape, ", "));
    result.bytes = *bytes;
    result.offset = cursor.read<std::uint64_t>("the offset");
  });
  return result;
}

// Gives each entry its bytes.
void place_tensors(std::vector<Description>& tensors, std::span<const std::byte> data, std::uint64_t alignment) {
  for (Description& tensor : tensors) {
    const std::string& name = tensor.entry.name;
    if (tensor.offset % alignment != 0) {
      fail(ErrorCode::kData, "tensor '{}': offset {} is no multiple of the alignment {}", name, tensor.offset,
           alignment);
    }
    if (tensor.offset > data.size() || tensor.bytes > data.size() - tensor.offset) {
      fail(ErrorCode::kData,
           "tensor '{}': {} bytes at offset {} do not fit into the {} bytes of data; the file is truncated", name,
           tensor.bytes, tensor.offset, data.size());
    }
    tensor.entry.data = data.subspan(tensor.offset, tensor.bytes);
  }
  std::vector<const Description*> sorted;
  for (const Description& tensor : tensors) {
    if (tensor.bytes > 0) sorted.push_back(&tensor);
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i]->offset < sorted[i - 1]->offset + sorted[i - 1]->bytes) {
      fail(ErrorCode::kData, "tensors '{}' and '{}' overlap", sorted[i - 1]->entry.name, sorted[i]->entry.name);
    }
  }
}

}  // namespace

struct GgufFile::Data {
  struct Item {
    std::string_view key;  // in the mapped file
    GgufSlot slot;
    std::unique_ptr<const GgufValue> value;  // null until asked for
  };
  std::shared_ptr<const MappedFile> file;
  std::vector<Item> items;
  std::unordered_map<std::string_view, std::size_t> item_index;
  std::vector<TensorEntry> tensors;
  std::unordered_map<std::string_view, std::size_t> tensor_index;
  std::mutex mutex;  // guards the values

  void read_items(GgufCursor& cursor, std::uint64_t count);
  void read_tensors(GgufCursor& cursor, std::uint64_t count);
  [[nodiscard]] const GgufValue* value(std::string_view key);
  [[nodiscard]] std::uint64_t alignment();
};

void GgufFile::Data::read_items(GgufCursor& cursor, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = read_name(cursor, "a metadata key");
    if (!item_index.emplace(key, items.size()).second) fail(ErrorCode::kData, "duplicate key '{}'", key);
    items.push_back({key, {}, nullptr});
    items.back().slot =
        with_context(fmt::format("key '{}'", key), [&] { return scan_gguf_value(cursor, file->bytes()); });
  }
}

const GgufValue* GgufFile::Data::value(std::string_view key) {
  const auto found = item_index.find(key);
  if (found == item_index.end()) return nullptr;
  const std::lock_guard lock(mutex);
  Item& item = items[found->second];
  if (!item.value) item.value = std::make_unique<const GgufValue>(decode_gguf_value(item.slot, file->bytes()));
  return item.value.get();
}

std::uint64_t GgufFile::Data::alignment() {
  const GgufValue* stated = value("general.alignment");
  if (stated == nullptr) return kGgufDefaultAlignment;
  const std::int64_t* number = std::get_if<std::int64_t>(stated);
  if (number == nullptr || *number <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(*number))) {
    fail(ErrorCode::kData, "key 'general.alignment' is {}, expected a power of two",
         number == nullptr ? std::string("no integer") : std::to_string(*number));
  }
  return static_cast<std::uint64_t>(*number);
}

void GgufFile::Data::read_tensors(GgufCursor& cursor, std::uint64_t count) {
  const std::uint64_t step = alignment();
  std::vector<Description> found;
  for (std::uint64_t i = 0; i < count; ++i) found.push_back(read_description(cursor));
  if (count == 0) return;
  static_cast<void>(cursor.take((step - cursor.position() % step) % step, "the padding before the data"));
  place_tensors(found, file->bytes().subspan(cursor.position()), step);
  tensors.reserve(found.size());  // the index views the names
  for (Description& description : found) {
    tensors.push_back(std::move(description.entry));
    if (!tensor_index.emplace(tensors.back().name, tensors.size() - 1).second) {
      fail(ErrorCode::kData, "duplicate tensor '{}'", tensors.back().name);
    }
  }
}

GgufFile::GgufFile(std::unique_ptr<Data> data) : data_(std::move(data)) {}
GgufFile::~GgufFile() = default;

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  auto data = std::make_unique<Data>();
  data->file = MappedFile::open(path);
  with_context(path.string(), [&] {
    GgufCursor cursor(data->file->bytes());
    const Counts counts = read_preamble(cursor);
    data->read_items(cursor, counts.keys);
    data->read_tensors(cursor, counts.tensors);
  });
  return std::shared_ptr<const GgufFile>(new GgufFile(std::move(data)));
}

const std::filesystem::path& GgufFile::path() const { return data_->file->path(); }
const std::shared_ptr<const MappedFile>& GgufFile::mapping() const { return data_->file; }
const std::vector<TensorEntry>& GgufFile::tensors() const { return data_->tensors; }

const TensorEntry* GgufFile::find(std::string_view name) const {
  const auto found = data_->tensor_index.find(name);
  return found == data_->tensor_index.end() ? nullptr : &data_->tensors[found->second];
}

const GgufValue* GgufFile::metadata(std::string_view key) const { return data_->value(key); }

std::vector<std::string> GgufFile::metadata_keys() const {
  std::vector<std::string> keys;
  for (const Data::Item& item : data_->items) keys.emplace_back(item.key);
  return keys;
}

}  // namespace lowbit
