// Any bytes as a text, through tokenizers of each kind. The first byte chooses one.
#include "fuzz/fuzz.h"
#include "fuzz/tokenizer_seeds.h"
#include "fuzz/tokenizer_use.h"
#include "lowbit/base/utf8.h"

namespace lowbit::fuzzing {
namespace {

const std::vector<std::unique_ptr<Tokenizer>>& tokenizers() {
  static const std::vector<std::unique_ptr<Tokenizer>> all = [] {
    std::vector<std::string> files = small_tokenizer_jsons();
    const std::vector<std::string> vocabularies = small_gguf_vocabularies();
    files.insert(files.end(), vocabularies.begin(), vocabularies.end());
    files.push_back(golden("text/tiny.model"));
    std::vector<std::unique_ptr<Tokenizer>> result;
    for (const std::string& file : files) result.push_back(load_tokenizer(InputFile(file).path()));
    return result;
  }();
  return all;
}

void read(std::string_view input) {
  if (input.empty()) return;
  const Tokenizer& tokenizer = *tokenizers()[static_cast<unsigned char>(input[0]) % tokenizers().size()];
  const std::string_view text = input.substr(1);
  const bool well_formed = !find_invalid_utf8(text);
  try {
    use_tokenizer(tokenizer, text);
  } catch (const Error&) {
    if (well_formed) report("a text in UTF-8 is refused");
    throw;
  }
  if (!well_formed) report("a text that is not UTF-8 is accepted");
}

std::vector<std::string> seeds() {
  const Json all = parse_json(golden("text/pipelines.json"), "pipelines.json");
  std::vector<std::string> result;
  for (const Json& text : all["strings"]) {
    result.push_back(static_cast<char>(result.size()) + text.get<std::string>());
  }
  return result;
}

}  // namespace

const Target& target() {
  (void)tokenizers();  // made before memory is counted
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words = {"<|end|>", " ", "\n\n", "\xE2\x96\x81", "\xC2\xA0", "\xE2\x80\x8D", "'s", "123", "\xEF\xB7\xBA",
                "\xE1\x84\x80\xE1\x85\xA1", "<s>", "a\xCC\x81\xCC\xA3"},
      .memory = std::size_t{8} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
