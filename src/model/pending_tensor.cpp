#include "model/pending_tensor.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "lowbit/tensor/factory.h"
#include "model/artifact_numbers.h"
#include "model/row_slices.h"

namespace lowbit {
namespace {

// Encoded slice by slice, so that the table of a large vocabulary is not in memory twice.
void write_floats(SafetensorsWriter& writer, const at::Tensor& tensor, StorageType type) {
  constexpr std::size_t kSlice = std::size_t{1} << 20;
  if (type == StorageType::kF32) {
    const std::span<const std::byte> bytes = std::as_bytes(values_of<float>(tensor));
    return writer.write(bytes.data(), bytes.size());
  }
  for (std::span<const float> rest = values_of<float>(tensor); !rest.empty();) {
    const std::span<const float> slice = rest.first(std::min(kSlice, rest.size()));
    const StoredBytes bytes = encode_floats(slice, type);
    writer.write(bytes.data(), bytes.size());
    rest = rest.subspan(slice.size());
  }
}

// Some rows at a time where that can be done: the table of a large vocabulary is not in memory whole.
void write_base_tensor(SafetensorsWriter& writer, const WeightSource& base, const StoredTensor& tensor) {
  const StorageType type = plain_type(tensor.type);
  const std::int64_t most = rows_in_cache(tensor.shape.size() == 2 ? tensor.shape[1] : 1);
  for (std::int64_t first = 0; first < tensor.shape[0]; first += most) {
    const auto part = base.load_rows(tensor.name, tensor.shape, first, std::min(most, tensor.shape[0] - first));
    if (!part) return write_floats(writer, base.load(tensor.name, tensor.shape).contiguous(), type);
    write_floats(writer, part->contiguous(), type);
  }
}

}  // namespace

StorageType plain_type(const std::string& type) {
  if (type == "F16") return StorageType::kF16;
  if (type == "BF16") return StorageType::kBF16;
  return StorageType::kF32;
}

void write_pending(SafetensorsWriter& writer, const WeightSource& base, PendingTensor& tensor) {
  if (tensor.base != nullptr) return write_base_tensor(writer, base, *tensor.base);
  writer.write(tensor.bytes.data(), tensor.bytes.size());
  tensor.bytes = {};
}

}  // namespace lowbit
