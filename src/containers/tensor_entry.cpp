#include "lowbit/containers/tensor_entry.h"

#include <array>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

struct TypeFacts {
  StorageType type;
  std::string_view name;
  BlockSize block;
};

// In the order of the enumeration.
constexpr std::array kTypes = {
    TypeFacts{StorageType::kBool, "BOOL", {1, 1}},      TypeFacts{StorageType::kU8, "U8", {1, 1}},
    TypeFacts{StorageType::kI8, "I8", {1, 1}},          TypeFacts{StorageType::kU16, "U16", {1, 2}},
    TypeFacts{StorageType::kI16, "I16", {1, 2}},        TypeFacts{StorageType::kU32, "U32", {1, 4}},
    TypeFacts{StorageType::kI32, "I32", {1, 4}},        TypeFacts{StorageType::kU64, "U64", {1, 8}},
    TypeFacts{StorageType::kI64, "I64", {1, 8}},        TypeFacts{StorageType::kF16, "F16", {1, 2}},
    TypeFacts{StorageType::kBF16, "BF16", {1, 2}},      TypeFacts{StorageType::kF32, "F32", {1, 4}},
    TypeFacts{StorageType::kF64, "F64", {1, 8}},        TypeFacts{StorageType::kF8E4M3, "F8_E4M3", {1, 1}},
    TypeFacts{StorageType::kF8E5M2, "F8_E5M2", {1, 1}}, TypeFacts{StorageType::kF8E8M0, "F8_E8M0", {1, 1}},
    TypeFacts{StorageType::kF4, "F4", {2, 1}},          TypeFacts{StorageType::kQ4_0, "Q4_0", {32, 18}},
    TypeFacts{StorageType::kQ4_1, "Q4_1", {32, 20}},    TypeFacts{StorageType::kQ5_0, "Q5_0", {32, 22}},
    TypeFacts{StorageType::kQ5_1, "Q5_1", {32, 24}},    TypeFacts{StorageType::kQ8_0, "Q8_0", {32, 34}},
    TypeFacts{StorageType::kQ8_1, "Q8_1", {32, 36}},    TypeFacts{StorageType::kQ2_K, "Q2_K", {256, 84}},
    TypeFacts{StorageType::kQ3_K, "Q3_K", {256, 110}},  TypeFacts{StorageType::kQ4_K, "Q4_K", {256, 144}},
    TypeFacts{StorageType::kQ5_K, "Q5_K", {256, 176}},  TypeFacts{StorageType::kQ6_K, "Q6_K", {256, 210}},
    TypeFacts{StorageType::kQ8_K, "Q8_K", {256, 292}},  TypeFacts{StorageType::kTQ1_0, "TQ1_0", {256, 54}},
    TypeFacts{StorageType::kTQ2_0, "TQ2_0", {256, 66}}, TypeFacts{StorageType::kMXFP4, "MXFP4", {32, 17}},
    TypeFacts{StorageType::kNVFP4, "NVFP4", {64, 36}},  TypeFacts{StorageType::kOther, "other", {1, 0}},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<std::size_t>(kTypes[i].type) != i) return false;
  }
  return static_cast<std::size_t>(StorageType::kOther) + 1 == kTypes.size();
}
static_assert(in_order());

const TypeFacts& facts(StorageType type) {
  const auto index = static_cast<std::size_t>(type);
  LOWBIT_ASSERT(index < kTypes.size());
  return kTypes[index];
}

}  // namespace

std::string_view storage_type_name(StorageType type) { return facts(type).name; }

BlockSize block_size(StorageType type) { return facts(type).block; }

std::int64_t TensorEntry::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dimension : shape) product *= dimension;
  return product;
}

}  // namespace lowbit
