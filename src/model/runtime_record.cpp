#include "model/runtime_record.h"

#include <algorithm>
#include <set>

#include "lowbit/model/activation_scheme.h"
#include "lowbit/tensor/factory.h"
#include "model/artifact_numbers.h"

namespace lowbit {
namespace {

StorageType storage_of(const std::string& name, DType type) {
  switch (type) {
    case DType::kFloat32: return StorageType::kF32;
    case DType::kInt8: return StorageType::kI8;
    case DType::kUInt8: return StorageType::kU8;
    case DType::kInt32: return StorageType::kI32;
    case DType::kInt64: return StorageType::kI64;
    default:
      fail(ErrorCode::kInternal, "tensor '{}' of a record is {}, which artifacts do not keep", name, dtype_name(type));
  }
}

DType dtype_of(StorageType type) {
  switch (type) {
    case StorageType::kI8: return DType::kInt8;
    case StorageType::kU8: return DType::kUInt8;
    case StorageType::kI32: return DType::kInt32;
    default: return DType::kInt64;
  }
}

at::Tensor read_tensor(const TensorEntry& entry) {
  const bool is_float = entry.type == StorageType::kF32 || entry.type == StorageType::kF16 ||
                        entry.type == StorageType::kBF16 || entry.type == StorageType::kF64;
  if (is_float) return decode_floats(entry);
  const std::vector<std::int64_t> values = decode_integers(entry);
  return to_dtype(tensor_of(std::span<const std::int64_t>(values)), dtype_of(entry.type)).view(entry.shape);
}

bool is_reserved(const std::string& suffix) {
  const auto& taken = weight_suffixes();
  return suffix == "weight" || suffix == "bias" || suffix.find('.') != std::string::npos ||
         std::find(taken.begin(), taken.end(), suffix) != taken.end();
}

const Json& require(const Json& object, const char* key) {
  if (!object.is_object()) fail(ErrorCode::kData, "a record is {}, expected an object", object.dump());
  const auto found = object.find(key);
  if (found == object.end()) fail(ErrorCode::kData, "a record has no '{}'", key);
  return *found;
}

std::string require_text(const Json& object, const char* key) {
  const Json& value = require(object, key);
  if (!value.is_string()) fail(ErrorCode::kData, "'{}' of a record is {}, expected a text", key, value.dump());
  return value.get<std::string>();
}

}  // namespace

Json describe_record(const RuntimeRecord& record) {
  return {{"name", record.name}, {"settings", record.settings.to_yaml()}};
}

Json describe_records(const std::vector<RuntimeRecord>& records) {
  Json described = Json::array();
  for (const RuntimeRecord& record : records) {
    Json one = describe_record(record);
    one["tensors"] = Json::array();
    for (const auto& [name, tensor] : record.tensors) one["tensors"].push_back(name);
    described.push_back(std::move(one));
  }
  return described;
}

std::vector<StoredPart> store_record_tensors(const std::vector<RuntimeRecord>& records) {
  std::vector<StoredPart> parts;
  std::set<std::string> taken;
  for (const RuntimeRecord& record : records) {
    for (const auto& [name, tensor] : record.tensors) {
      if (is_reserved(name) || !taken.insert(name).second) {
        fail(ErrorCode::kInternal, "'{}' stores a tensor '{}', a name that is taken", record.name, name);
      }
      const at::Tensor values = tensor.detach().contiguous();
      const auto bytes = bytes_of(values);
      parts.push_back(
          {name, storage_of(name, lowbit::dtype_of(values)), shape_of(values), {bytes.begin(), bytes.end()}});
    }
  }
  return parts;
}

RuntimeRecord described_record(const Json& description) {
  RuntimeRecord record;
  record.name = require_text(description, "name");
  const std::string settings = require_text(description, "settings");
  try {
    record.settings = ConfigNode::parse(settings, record.name);
  } catch (const Error& error) {
    fail(ErrorCode::kData, "settings of '{}': {}", record.name, error.what());  // a file's mistake, not the user's
  }
  return record;
}

std::vector<RuntimeRecord> restore_records(const Json& description, const FindPart& find) {
  if (!description.is_array()) fail(ErrorCode::kData, "records are {}, expected a list", description.dump());
  std::vector<RuntimeRecord> records;
  for (const Json& one : description) {
    RuntimeRecord record = described_record(one);
    const Json& names = require(one, "tensors");
    if (!names.is_array()) fail(ErrorCode::kData, "'tensors' of a record is {}, expected a list", names.dump());
    for (const Json& name : names) {
      const TensorEntry* entry = name.is_string() ? find(name.get<std::string>()) : nullptr;
      if (entry == nullptr) fail(ErrorCode::kData, "tensor {} of '{}' is missing", name.dump(), record.name);
      record.tensors[name.get<std::string>()] = read_tensor(*entry);
    }
    records.push_back(std::move(record));
  }
  return records;
}

std::string compressed_tensors_obstacle(const std::vector<RuntimeRecord>& records) {
  for (const RuntimeRecord& record : records) {
    if (record.name != ActivationScheme::kRecordName) return fmt::format("'{}' runs around the product", record.name);
  }
  return records.size() > 1 ? "inputs are rounded more than once" : "";
}

}  // namespace lowbit
