#include "fuzz/fuzz.h"
#include "fuzz/tokenizer_seeds.h"
#include "fuzz/tokenizer_use.h"
#include "lowbit/containers/gguf.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  const InputFile file(input);
  use_tokenizer(*tokenizer_from_gguf(*GgufFile::open(file.path())));
}

}  // namespace

const Target& target() {
  static const Target result = {.read = read,
                                .seeds = small_gguf_vocabularies,
                                .words = {"gpt2", "llama", "smollm", "llama-bpe", "qwen2", "<0x41>", "<|end|>",
                                          std::string("\x01\0\0\0\0\0\0\0", 8), std::string("\x06\0\0\0", 4)},
                                .memory = std::size_t{4} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
