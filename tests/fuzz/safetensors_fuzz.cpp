#include "lowbit/containers/safetensors.h"

#include <cstring>

#include "fuzz/fuzz.h"
#include "fuzz/touch.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  const InputFile file(input);
  const auto opened = SafetensorsFile::open(file.path());
  for (const TensorEntry& tensor : opened->tensors()) {
    if (opened->find(tensor.name) != &tensor) report("a tensor is not found under its name");
    touch(tensor);
  }
}

// The header's length, which stands in front, for a header that ends with the last closing brace.
void repair(std::string& input) {
  const std::size_t end = input.rfind('}');
  if (input.size() < 8 || end == std::string::npos || end < 8) return;
  const std::uint64_t length = end - 7;
  std::memcpy(input.data(), &length, sizeof length);
}

std::vector<std::string> seeds() {
  return {golden("containers/small.safetensors"), golden("containers/types.safetensors"),
          std::string("\x02\0\0\0\0\0\0\0{}", 10)};
}

}  // namespace

const Target& target() {
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words = {"\"__metadata__\":{\"format\":\"pt\"},", "\"dtype\":\"F32\",", "\"dtype\":\"F4\",", "\"shape\":[2,3],",
                "\"shape\":[9223372036854775807,2],", "\"data_offsets\":[0,24]", "\"data_offsets\":[24,0]", "\"a\":{",
                "\\u0000", "\\ud800"},
      .repair = repair};
  return result;
}

}  // namespace lowbit::fuzzing
