#include "lowbit/tensor/dtype.h"

#include "tensor/scalar_type.h"

namespace lowbit {
namespace {

struct Row {
  DType type;
  c10::ScalarType scalar;
  std::string_view name;
};

constexpr Row kRows[] = {
    {DType::kFloat32, c10::ScalarType::Float, "float32"},
    {DType::kFloat64, c10::ScalarType::Double, "float64"},
    {DType::kFloat16, c10::ScalarType::Half, "float16"},
    {DType::kBFloat16, c10::ScalarType::BFloat16, "bfloat16"},
    {DType::kInt8, c10::ScalarType::Char, "int8"},
    {DType::kUInt8, c10::ScalarType::Byte, "uint8"},
    {DType::kInt16, c10::ScalarType::Short, "int16"},
    {DType::kInt32, c10::ScalarType::Int, "int32"},
    {DType::kInt64, c10::ScalarType::Long, "int64"},
    {DType::kBool, c10::ScalarType::Bool, "bool"},
    {DType::kFloat8E4M3, c10::ScalarType::Float8_e4m3fn, "float8_e4m3"},
    {DType::kFloat8E5M2, c10::ScalarType::Float8_e5m2, "float8_e5m2"},
};

const Row& row_of(DType type) {
  for (const Row& row : kRows) {
    if (row.type == type) return row;
  }
  fail(ErrorCode::kInternal, "dtype {} is not in the table", static_cast<int>(type));
}

}  // namespace

std::string_view dtype_name(DType type) { return row_of(type).name; }

int dtype_bytes(DType type) { return static_cast<int>(c10::elementSize(row_of(type).scalar)); }

c10::ScalarType scalar_type(DType type) { return row_of(type).scalar; }

DType dtype_from(c10::ScalarType scalar) {
  for (const Row& row : kRows) {
    if (row.scalar == scalar) return row.type;
  }
  fail(ErrorCode::kInternal, "LibTorch's type '{}' has no counterpart here", c10::toString(scalar));
}

}  // namespace lowbit
