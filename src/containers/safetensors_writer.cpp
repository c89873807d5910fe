#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>
#include <utility>

#include "containers/layout.h"
#include "containers/safetensors_header.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/containers/safetensors.h"

namespace lowbit {
namespace {

using Declarations = std::vector<TensorDeclaration>;

std::string quoted(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    fail(ErrorCode::kInternal, "'{}' is not valid UTF-8 and cannot be written to a safetensors file", text);
  }
}

std::uint64_t data_bytes(const TensorDeclaration& tensor) {
  if (safetensors_type_name(tensor.type).empty()) {
    fail(ErrorCode::kInternal, "tensor '{}': safetensors has no type {}", tensor.name, storage_type_name(tensor.type));
  }
  const auto elements = checked_elements(tensor.shape);
  const auto bytes = elements ? checked_bytes(*elements, block_size(tensor.type)) : std::nullopt;
  if (!bytes) fail(ErrorCode::kInternal, "tensor '{}': its shape overflows or takes half a byte", tensor.name);
  return *bytes;
}

// Widest type first keeps each tensor aligned, as the data starts at a multiple of 8.
std::vector<std::size_t> writing_order(const Declarations& tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const BlockSize first = block_size(tensors[a].type);
    const BlockSize second = block_size(tensors[b].type);
    const std::int64_t difference = first.bytes * second.elements - second.bytes * first.elements;
    return difference != 0 ? difference > 0 : tensors[a].name < tensors[b].name;
  });
  return order;
}

std::string metadata_json(const std::map<std::string, std::string>& metadata) {
  std::string text;
  for (const auto& [key, value] : metadata) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", quoted(key), quoted(value));
  }
  return "\"__metadata__\":{" + text + "}";
}

std::string header_json(const Declarations& tensors, const std::vector<std::size_t>& order,
                        const std::vector<std::uint64_t>& sizes, const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += metadata_json(metadata);
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const TensorDeclaration& tensor = tensors[order[i]];
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", text.size() > 1 ? "," : "",
                        quoted(tensor.name), safetensors_type_name(tensor.type), fmt::join(tensor.shape, ","), position,
                        position + sizes[i]);
    position += sizes[i];
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

struct SafetensorsWriter::Data {
  std::vector<std::size_t> order;
  AtomicFile file;
  DataStream stream;
};

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<Declaration> tensors,
                                     const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  for (const Declaration& tensor : tensors) {
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second) {
      fail(ErrorCode::kInternal, "tensor '{}' is declared twice or has a reserved name", tensor.name);
    }
  }
  const std::vector<std::size_t> order = writing_order(tensors);
  std::vector<std::uint64_t> sizes;
  for (const std::size_t index : order) sizes.push_back(data_bytes(tensors[index]));
  const std::string header = header_json(tensors, order, sizes, metadata);
  data_.reset(new Data{order, AtomicFile(std::move(path)), DataStream(std::move(sizes), 1)});
  const std::uint64_t length = header.size();
  data_->file.write(&length, sizeof length);
  data_->file.write(header);
}

SafetensorsWriter::~SafetensorsWriter() = default;

const std::vector<std::size_t>& SafetensorsWriter::order() const { return data_->order; }

void SafetensorsWriter::write(const void* data, std::size_t size) { data_->stream.write(data_->file, data, size); }

void SafetensorsWriter::finish() {
  data_->stream.check_complete();
  data_->file.commit();
}

}  // namespace lowbit
