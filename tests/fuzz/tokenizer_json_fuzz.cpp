#include "fuzz/fuzz.h"
#include "fuzz/tokenizer_seeds.h"
#include "fuzz/tokenizer_use.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  const InputFile file(std::string("{").append(input));  // what does not begin so is no tokenizer.json
  use_tokenizer(*load_tokenizer(file.path()));
}

std::vector<std::string> seeds() {
  std::vector<std::string> result = small_tokenizer_jsons();
  for (std::string& seed : result) seed.erase(0, 1);
  return result;
}

}  // namespace

const Target& target() {
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words =
          {R"({"type":"NFKC"},)",
           R"({"type":"NFC"},)",
           R"({"type":"Prepend","prepend":"aa"},)",
           R"({"type":"Replace","pattern":{"Regex":"a"},"content":"aaaaaaaa"},)",
           R"({"type":"Replace","pattern":{"String":""},"content":"b"},)",
           R"({"type":"Strip","content":"a","start":9,"stop":9},)",
           R"({"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated","invert":false},)",
           R"({"type":"Digits","individual_digits":true},)",
           R"({"type":"ByteLevel","add_prefix_space":true},)",
           R"({"type":"Metaspace","replacement":"a","prepend_scheme":"first"},)",
           R"("ignore_merges":true,)",
           R"("continuing_subword_prefix":"##",)",
           R"("end_of_word_suffix":"</w>",)",
           R"(,"zz":4194303)",
           R"(["a","b"],)",
           R"({"id":12,"content":"a","single_word":true,"lstrip":true,"rstrip":true,"normalized":true,"special":false},)",
           R"((?:a|b)*)",
           R"(\\p{L})",
           R"([^\\s\\p{L}]+)",
           R"({1,1000})",
           R"((?!)",
           R"(\ud83d\ude00)"},
      .memory = std::size_t{8} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
