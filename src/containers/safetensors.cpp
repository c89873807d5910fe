#include "lowbit/containers/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "containers/layout.h"
#include "containers/safetensors_header.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"

namespace lowbit {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

std::string_view header_text(std::string_view file) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length) {
    fail(ErrorCode::kData, "the file has {} bytes, too few for a safetensors file", file.size());
  }
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeaderBytes) {
    fail(ErrorCode::kData, "the header's length is {}, expected at most {}; this is no safetensors file", length,
         kMaxHeaderBytes);
  }
  const std::uint64_t left = file.size() - sizeof length;
  if (length > left) {
    fail(ErrorCode::kData, "the header's length is {}, but {} bytes follow; the file is truncated", length, left);
  }
  return file.substr(sizeof length, length);
}

void check_extent(const SafetensorsRecord& record) {
  const auto elements = checked_elements(record.shape);
  std::int64_t bits = 0;
  if (!elements || __builtin_mul_overflow(*elements, std::int64_t{record.bits}, &bits)) {
    fail(ErrorCode::kData, "tensor '{}': the shape overflows", record.name);
  }
  if (bits % 8 != 0) fail(ErrorCode::kData, "tensor '{}': {} bits are no whole number of bytes", record.name, bits);
  if (record.begin > record.end || record.end - record.begin != static_cast<std::uint64_t>(bits / 8)) {
    fail(ErrorCode::kData, "tensor '{}': data_offsets [{}, {}] do not fit the shape, which takes {} bytes", record.name,
         record.begin, record.end, bits / 8);
  }
}

// Sorts by position and checks that the tensors tile the data exactly.
void check_tiling(std::vector<SafetensorsRecord>& records, std::uint64_t data_size) {
  std::stable_sort(records.begin(), records.end(),
                   [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t position = 0;
  for (const SafetensorsRecord& record : records) {
    check_extent(record);
    if (record.begin != position) {
      fail(ErrorCode::kData, "tensor '{}': data begins at {}, expected {}: {}", record.name, record.begin, position,
           record.begin < position ? "it overlaps the tensor before" : "there is a hole before it");
    }
    if (record.end > data_size) {
      fail(ErrorCode::kData, "tensor '{}': data ends at {}, but the file holds {} bytes of data; it is truncated",
           record.name, record.end, data_size);
    }
    position = record.end;
  }
  if (position != data_size) {
    fail(ErrorCode::kData, "{} bytes after the last tensor belong to none", data_size - position);
  }
}

}  // namespace

struct SafetensorsFile::Data {
  std::shared_ptr<const MappedFile> file;
  std::vector<TensorEntry> tensors;
  std::unordered_map<std::string_view, std::size_t> index;
  std::map<std::string, std::string> metadata;
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<Data> data) : data_(std::move(data)) {}
SafetensorsFile::~SafetensorsFile() = default;

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  auto data = std::make_unique<Data>();
  data->file = MappedFile::open(path);
  with_context(path.string(), [&] {
    const std::string_view json = header_text(data->file->text());
    const std::span<const std::byte> bytes = data->file->bytes().subspan(sizeof(std::uint64_t) + json.size());
    SafetensorsHeader header = parse_safetensors_header(json);
    check_tiling(header.tensors, bytes.size());
    data->metadata = std::move(header.metadata);
    data->tensors.reserve(header.tensors.size());
    for (SafetensorsRecord& record : header.tensors) {
      data->tensors.push_back({std::move(record.name), record.type, std::move(record.shape),
                               bytes.subspan(record.begin, record.end - record.begin)});
    }
  });
  for (std::size_t i = 0; i < data->tensors.size(); ++i) data->index.emplace(data->tensors[i].name, i);
  return std::shared_ptr<const SafetensorsFile>(new SafetensorsFile(std::move(data)));
}

const std::filesystem::path& SafetensorsFile::path() const { return data_->file->path(); }
const std::vector<TensorEntry>& SafetensorsFile::tensors() const { return data_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return data_->metadata; }

const std::shared_ptr<const MappedFile>& SafetensorsFile::mapping() const { return data_->file; }

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = data_->index.find(name);
  return found == data_->index.end() ? nullptr : &data_->tensors[found->second];
}

}  // namespace lowbit
