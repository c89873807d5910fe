#include "fuzz/fuzz.h"
#include "fuzz/tokenizer_use.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  const InputFile file(input);
  use_tokenizer(*load_tokenizer(file.path()));
}

// A protocol buffer's field that holds bytes.
std::string field(int number, const std::string& bytes) {
  std::string result(1, static_cast<char>(number << 3 | 2));
  for (std::size_t left = bytes.size();; left >>= 7) {
    result += static_cast<char>(left < 128 ? left : (left & 127) | 128);
    if (left < 128) return result + bytes;
  }
}

std::string piece(const std::string& text, int type) {
  return field(1, field(1, text) + std::string("\x15\0\0\x80\xBF", 5) + "\x18" + static_cast<char>(type));
}

// A few pieces of all types; `kind` is 1 for unigram, 2 BPE, 3 word, 4 char; `rules` is the normalizer's.
std::string small_model(int kind, const std::string& rules) {
  return piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) + piece("<0x41>", 6) + piece("\xE2\x96\x81", 1) +
         piece("a", 1) + piece("b", 1) + piece("ab", 1) + piece("lo", 4) +
         field(2, std::string("\x18") + static_cast<char>(kind)) + field(3, rules);
}

std::vector<std::string> seeds() {
  // A character map: the size of a double array of four units, the units, and the texts that they stand for.
  const std::string map = std::string("\x10\0\0\0", 4) + std::string(16, '\0') + std::string("a\0b\0", 4);
  std::vector<std::string> result = {golden("text/tiny.model")};
  for (int kind = 1; kind <= 4; ++kind) result.push_back(small_model(kind, std::string("\x18\x01\x20\x01\x28\x01", 6)));
  result.push_back(small_model(1, field(2, map)));
  result.push_back(small_model(2, field(2, map)));
  return result;
}

}  // namespace

const Target& target() {
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words = {piece("a", 1), piece("", 1), piece("<0x61>", 6), piece("b", 5), field(2, "\x18\x01"),
                field(3, field(2, std::string("\x04\0\0\0\0\0\0\0", 8)))},
      .memory = std::size_t{8} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
