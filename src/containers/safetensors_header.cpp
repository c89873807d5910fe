#include "containers/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_set>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

struct TypeFacts {
  std::string_view name;
  StorageType type;
  int bits;
};

constexpr std::array kTypes = {
    TypeFacts{"BOOL", StorageType::kBool, 8},
    TypeFacts{"U8", StorageType::kU8, 8},
    TypeFacts{"I8", StorageType::kI8, 8},
    TypeFacts{"U16", StorageType::kU16, 16},
    TypeFacts{"I16", StorageType::kI16, 16},
    TypeFacts{"U32", StorageType::kU32, 32},
    TypeFacts{"I32", StorageType::kI32, 32},
    TypeFacts{"U64", StorageType::kU64, 64},
    TypeFacts{"I64", StorageType::kI64, 64},
    TypeFacts{"F16", StorageType::kF16, 16},
    TypeFacts{"BF16", StorageType::kBF16, 16},
    TypeFacts{"F32", StorageType::kF32, 32},
    TypeFacts{"F64", StorageType::kF64, 64},
    TypeFacts{"F8_E4M3", StorageType::kF8E4M3, 8},
    TypeFacts{"F8_E5M2", StorageType::kF8E5M2, 8},
    TypeFacts{"F8_E8M0", StorageType::kF8E8M0, 8},
    TypeFacts{"F4", StorageType::kF4, 4},
    TypeFacts{"F8_E4M3FNUZ", StorageType::kOther, 8},
    TypeFacts{"F8_E5M2FNUZ", StorageType::kOther, 8},
    TypeFacts{"F6_E2M3", StorageType::kOther, 6},
    TypeFacts{"F6_E3M2", StorageType::kOther, 6},
    TypeFacts{"C64", StorageType::kOther, 64},
};

// More than any framework can hold, and few enough that a shape cannot be used to fill the memory.
constexpr std::size_t kMaxRank = 64;
constexpr std::string_view kMetadataKey = "__metadata__";

// Takes the parser's events and builds the records, since a tree of a hostile header of 100 MB would fill gigabytes.
class HeaderBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderBuilder(SafetensorsHeader& header) : header_(header) {}

  bool null() override { return reject("null"); }
  bool boolean(bool) override { return reject("a boolean"); }
  bool number_integer(number_integer_t) override { return reject("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return reject("a fraction or too large a number"); }
  bool binary(binary_t&) override { return reject("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return reject("a number");
    if (key_ == "shape") {
      add_dimension(value);
    } else {
      add_offset(value);
    }
    return true;
  }

  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) {
      if (!header_.metadata.emplace(key_, std::move(text)).second) duplicate(key_);
    } else if (depth_ == 2 && key_ == "dtype" && !in_array_) {
      set_type(text);
    } else {
      reject("a string");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ >= 2 || in_array_) return reject("an object");
    if (++depth_ == 2 && !in_metadata_) {
      header_.tensors.emplace_back().name = name_;
      seen_.clear();
    }
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata_) {
      for (const char* wanted : {"dtype", "shape", "data_offsets"}) {
        if (!seen_.contains(wanted)) fail(ErrorCode::kData, "{}: '{}' is missing", place(), wanted);
      }
      if (offsets_ != 2) fail(ErrorCode::kData, "{}: 'data_offsets' holds {} numbers, expected 2", place(), offsets_);
    }
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || key_ == "dtype") return reject("an array");
    in_array_ = true;
    if (key_ == "data_offsets") offsets_ = 0;
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    return true;
  }

  bool key(string_t& text) override {
    if (depth_ == 1) {
      name_ = std::move(text);
      in_metadata_ = name_ == kMetadataKey;
      if (!names_.insert(name_).second) duplicate(name_);
      return true;
    }
    key_ = std::move(text);
    if (in_metadata_) return true;
    if (key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
      fail(ErrorCode::kData, "{}: unknown key '{}', expected dtype, shape or data_offsets", place(), key_);
    }
    if (!seen_.insert(key_).second) fail(ErrorCode::kData, "{}: duplicate key '{}'", place(), key_);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(ErrorCode::kData, "the header is not valid JSON at byte {}", position);
  }

 private:
  [[nodiscard]] std::string place() const {
    if (depth_ == 0) return "the header";
    return in_metadata_ ? std::string(kMetadataKey) : fmt::format("tensor '{}'", name_);
  }
  bool reject(std::string_view found) const {
    if (depth_ < 2) fail(ErrorCode::kData, "{} is {}, expected an object", place(), found);
    const std::string_view expected = in_metadata_      ? "a string"
                                      : key_ == "dtype" ? "a string"
                                      : in_array_       ? "non-negative integers"
                                                        : "an array";
    fail(ErrorCode::kData, "{}: '{}' has {}, expected {}", place(), key_, found, expected);
  }
  [[noreturn]] static void duplicate(std::string_view name) { fail(ErrorCode::kData, "duplicate key '{}'", name); }

  void add_dimension(std::uint64_t value) {
    auto& shape = header_.tensors.back().shape;
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail(ErrorCode::kData, "{}: dimension {} is above 2^63 - 1", place(), value);
    }
    if (shape.size() == kMaxRank) fail(ErrorCode::kData, "{}: more than {} dimensions", place(), kMaxRank);
    shape.push_back(static_cast<std::int64_t>(value));
  }
  void add_offset(std::uint64_t value) {
    auto& record = header_.tensors.back();
    if (offsets_ == 0) record.begin = value;
    if (offsets_ == 1) record.end = value;
    ++offsets_;
  }
  void set_type(std::string_view name) {
    const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) { return type.name == name; });
    if (found == kTypes.end()) {
      fail(ErrorCode::kData, "{}: unknown dtype '{}' (the file is damaged or newer than this program)", place(), name);
    }
    header_.tensors.back().type = found->type;
    header_.tensors.back().bits = found->bits;
  }

  SafetensorsHeader& header_;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> seen_;
  std::string name_;
  std::string key_;
  int depth_ = 0;
  std::size_t offsets_ = 0;
  bool in_metadata_ = false;
  bool in_array_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json) {
  if (json.empty() || json.front() != '{') fail(ErrorCode::kData, "the header does not start with '{{'");
  if (const auto position = find_invalid_utf8(json)) {
    fail(ErrorCode::kData, "the header has invalid UTF-8 at byte {}", *position);
  }
  SafetensorsHeader header;
  HeaderBuilder builder(header);
  Json::sax_parse(json.begin(), json.end(), &builder);
  return header;
}

std::string_view safetensors_type_name(StorageType type) {
  if (type == StorageType::kOther) return {};
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& known) { return known.type == type; });
  return found == kTypes.end() ? std::string_view{} : found->name;
}

}  // namespace lowbit
