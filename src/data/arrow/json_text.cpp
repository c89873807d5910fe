#include "data/arrow/json_text.h"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/scalar.h>
#include <arrow/util/float16.h>

#include <charconv>
#include <cmath>
#include <string_view>

namespace lowbit::columnar {
namespace {

using arrow::Array;
using arrow::Status;
using arrow::Type;

constexpr int kDeepest = 64;  // lists and structs within each other

template <typename Kind>
const Kind& as(const Array& array) {
  return static_cast<const Kind&>(array);
}

void append_text(std::string_view value, std::string& text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  text += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      text += "\\u00";
      text += kDigits[static_cast<unsigned char>(c) >> 4];
      text += kDigits[static_cast<unsigned char>(c) & 15];
    } else {
      text += c;
    }
  }
  text += '"';
}

template <typename Number>
void append_number(Number value, std::string& text) {
  char digits[64];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
  text.append(std::begin(digits), end);
}

template <typename Number>
void append_float(Number value, std::string& text) {
  if (std::isfinite(value)) {
    append_number(value, text);
  } else {
    text += "null";
  }
}

Status out_of_bounds(const Array& array) {
  return Status::Invalid("an offset or index of type ", array.type()->ToString(), " points outside its data");
}

/// The part of `count` things that a row's two offsets name.
struct Slice {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  [[nodiscard]] bool lies_in(std::int64_t count) const {
    return begin >= 0 && length >= 0 && begin <= count && length <= count - begin;
  }
};

template <typename Kind>
Slice slice_of(const Kind& array, std::int64_t row) {
  const auto begin = static_cast<std::int64_t>(array.value_offset(row));
  return {begin, static_cast<std::int64_t>(array.value_offset(row + 1)) - begin};
}

class Writer {
 public:
  Writer(std::uint64_t most, std::string& text) : most_(most), text_(text) {}

  Status append(const Array& array, std::int64_t row, int depth) {
    if (depth > kDeepest) return Status::Invalid("lists and structs lie more than ", kDeepest, " deep");
    if (text_.size() > most_) return Status::Invalid("the row has more than ", most_, " bytes of text");
    if (array.IsNull(row)) {
      text_ += "null";
      return Status::OK();
    }
    switch (array.type_id()) {
      case Type::NA: text_ += "null"; return Status::OK();
      case Type::BOOL: text_ += as<arrow::BooleanArray>(array).Value(row) ? "true" : "false"; return Status::OK();
      case Type::INT8: return number<arrow::Int8Array>(array, row);
      case Type::INT16: return number<arrow::Int16Array>(array, row);
      case Type::INT32: return number<arrow::Int32Array>(array, row);
      case Type::INT64: return number<arrow::Int64Array>(array, row);
      case Type::UINT8: return number<arrow::UInt8Array>(array, row);
      case Type::UINT16: return number<arrow::UInt16Array>(array, row);
      case Type::UINT32: return number<arrow::UInt32Array>(array, row);
      case Type::UINT64: return number<arrow::UInt64Array>(array, row);
      case Type::HALF_FLOAT:
        append_float(arrow::util::Float16::FromBits(as<arrow::HalfFloatArray>(array).Value(row)).ToFloat(), text_);
        return Status::OK();
      case Type::FLOAT: append_float(as<arrow::FloatArray>(array).Value(row), text_); return Status::OK();
      case Type::DOUBLE: append_float(as<arrow::DoubleArray>(array).Value(row), text_); return Status::OK();
      case Type::STRING:
      case Type::BINARY: return bytes<arrow::BinaryArray>(array, row);
      case Type::LARGE_STRING:
      case Type::LARGE_BINARY: return bytes<arrow::LargeBinaryArray>(array, row);
      case Type::LIST: return list<arrow::ListArray>(array, row, depth);
      case Type::LARGE_LIST: return list<arrow::LargeListArray>(array, row, depth);
      case Type::FIXED_SIZE_LIST: return fixed_list(as<arrow::FixedSizeListArray>(array), row, depth);
      case Type::STRUCT: return object(as<arrow::StructArray>(array), row, depth);
      case Type::DICTIONARY: return entry(as<arrow::DictionaryArray>(array), row, depth);
      case Type::DATE32:
      case Type::DATE64:
      case Type::TIMESTAMP:
      case Type::DECIMAL128: return printed(array, row);
      default: return Status::NotImplemented("type ", array.type()->ToString(), " has no form in JSON");
    }
  }

  void name(std::string_view name, bool first) {
    if (!first) text_ += ',';
    append_text(name, text_);
    text_ += ':';
  }

 private:
  template <typename Kind>
  Status number(const Array& array, std::int64_t row) {
    append_number(as<Kind>(array).Value(row), text_);
    return Status::OK();
  }

  template <typename Kind>
  Status bytes(const Array& array, std::int64_t row) {
    const auto& values = as<Kind>(array);
    const Slice slice = slice_of(values, row);
    const std::int64_t size = values.value_data() == nullptr ? 0 : values.value_data()->size();
    if (!slice.lies_in(size)) return out_of_bounds(array);
    append_text(slice.length == 0 ? std::string_view() : std::string_view(values.GetView(row)), text_);
    return Status::OK();
  }

  Status items(const Array& values, Slice slice, int depth) {
    text_ += '[';
    for (std::int64_t i = 0; i < slice.length; ++i) {
      if (i > 0) text_ += ',';
      ARROW_RETURN_NOT_OK(append(values, slice.begin + i, depth + 1));
    }
    text_ += ']';
    return Status::OK();
  }

  template <typename Kind>
  Status list(const Array& array, std::int64_t row, int depth) {
    const auto& lists = as<Kind>(array);
    const Slice slice = slice_of(lists, row);
    if (!slice.lies_in(lists.values()->length())) return out_of_bounds(array);
    return items(*lists.values(), slice, depth);
  }

  Status fixed_list(const arrow::FixedSizeListArray& lists, std::int64_t row, int depth) {
    const Slice slice{lists.value_offset(row), lists.value_length()};
    if (!slice.lies_in(lists.values()->length())) return out_of_bounds(lists);
    return items(*lists.values(), slice, depth);
  }

  Status object(const arrow::StructArray& array, std::int64_t row, int depth) {
    text_ += '{';
    for (int i = 0; i < array.num_fields(); ++i) {
      const std::shared_ptr<Array> field = array.field(i);
      if (row >= field->length()) return out_of_bounds(array);
      name(array.type()->field(i)->name(), i == 0);
      ARROW_RETURN_NOT_OK(append(*field, row, depth + 1));
    }
    text_ += '}';
    return Status::OK();
  }

  Status entry(const arrow::DictionaryArray& array, std::int64_t row, int depth) {
    const std::int64_t index = array.GetValueIndex(row);
    if (index < 0 || index >= array.dictionary()->length()) return out_of_bounds(array);
    return append(*array.dictionary(), index, depth + 1);
  }

  Status printed(const Array& array, std::int64_t row) {
    ARROW_ASSIGN_OR_RAISE(const std::shared_ptr<arrow::Scalar> scalar, array.GetScalar(row));
    append_text(scalar->ToString(), text_);
    return Status::OK();
  }

  std::uint64_t most_;
  std::string& text_;
};

}  // namespace

Status append_row(const arrow::RecordBatch& batch, std::int64_t row, std::uint64_t most, std::string& text) {
  Writer writer(most, text);
  text += '{';
  for (int column = 0; column < batch.num_columns(); ++column) {
    writer.name(batch.column_name(column), column == 0);
    const Status status = writer.append(*batch.column(column), row, 0);
    if (!status.ok()) {
      return status.WithMessage("column '", batch.column_name(column), "': ", status.message());
    }
  }
  text += '}';
  return Status::OK();
}

}  // namespace lowbit::columnar
