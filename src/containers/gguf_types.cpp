#include "containers/gguf_types.h"

#include <algorithm>
#include <array>

namespace lowbit {
namespace {

struct Pair {
  std::uint32_t id;
  StorageType type;
};

constexpr std::array kReadable = {
    Pair{0, StorageType::kF32},    Pair{1, StorageType::kF16},    Pair{2, StorageType::kQ4_0},
    Pair{3, StorageType::kQ4_1},   Pair{6, StorageType::kQ5_0},   Pair{7, StorageType::kQ5_1},
    Pair{8, StorageType::kQ8_0},   Pair{9, StorageType::kQ8_1},   Pair{10, StorageType::kQ2_K},
    Pair{11, StorageType::kQ3_K},  Pair{12, StorageType::kQ4_K},  Pair{13, StorageType::kQ5_K},
    Pair{14, StorageType::kQ6_K},  Pair{15, StorageType::kQ8_K},  Pair{24, StorageType::kI8},
    Pair{25, StorageType::kI16},   Pair{26, StorageType::kI32},   Pair{27, StorageType::kI64},
    Pair{28, StorageType::kF64},   Pair{30, StorageType::kBF16},  Pair{34, StorageType::kTQ1_0},
    Pair{35, StorageType::kTQ2_0}, Pair{39, StorageType::kMXFP4}, Pair{40, StorageType::kNVFP4},
};

// The IQ family, listed so that files with such tensors open: IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S,
// IQ4_XS, IQ1_M.
constexpr std::array kOthers = {
    GgufTensorType{16, StorageType::kOther, {256, 66}}, GgufTensorType{17, StorageType::kOther, {256, 74}},
    GgufTensorType{18, StorageType::kOther, {256, 98}}, GgufTensorType{19, StorageType::kOther, {256, 50}},
    GgufTensorType{20, StorageType::kOther, {32, 18}},  GgufTensorType{21, StorageType::kOther, {256, 110}},
    GgufTensorType{22, StorageType::kOther, {256, 82}}, GgufTensorType{23, StorageType::kOther, {256, 136}},
    GgufTensorType{29, StorageType::kOther, {256, 56}},
};

template <typename Predicate>
std::optional<GgufTensorType> find_readable(Predicate matches) {
  const auto found = std::find_if(kReadable.begin(), kReadable.end(), matches);
  if (found == kReadable.end()) return std::nullopt;
  return GgufTensorType{found->id, found->type, block_size(found->type)};
}

}  // namespace

std::optional<GgufTensorType> gguf_tensor_type(std::uint32_t id) {
  const auto other = std::find_if(kOthers.begin(), kOthers.end(), [&](const auto& type) { return type.id == id; });
  if (other != kOthers.end()) return *other;
  return find_readable([&](const Pair& pair) { return pair.id == id; });
}

std::optional<GgufTensorType> gguf_tensor_type(StorageType type) {
  return find_readable([&](const Pair& pair) { return pair.type == type; });
}

std::size_t gguf_scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool: return 1;
    case GgufType::kU16:
    case GgufType::kI16: return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32: return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64: return 8;
    case GgufType::kString:
    case GgufType::kArray: return 0;
  }
  return 0;
}

}  // namespace lowbit
