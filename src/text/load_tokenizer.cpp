#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/containers/gguf.h"
#include "lowbit/text/tokenizer.h"
#include "text/load_files.h"

namespace lowbit {
namespace {

std::unique_ptr<Tokenizer> load_file(const std::filesystem::path& file, const TokenizerConfig& config) {
  const auto mapped = MappedFile::open(file);
  const std::string_view start = mapped->text().substr(0, 64);
  if (start.substr(0, 4) == "GGUF") return tokenizer_from_gguf(*GgufFile::open(file));
  const std::size_t first = start.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && start[first] == '{') return tokenizer_from_json(file, config);
  return tokenizer_from_sentencepiece(file, config);
}

std::unique_ptr<Tokenizer> load_folder_or_file(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return load_file(path, read_tokenizer_config(path.parent_path()));
  const TokenizerConfig config = read_tokenizer_config(path);
  for (const char* const name : {"tokenizer.json", "tokenizer.model"}) {
    if (std::filesystem::exists(path / name)) return load_file(path / name, config);
  }
  fail(ErrorCode::kData, "{}: no tokenizer found; expected tokenizer.json or tokenizer.model in this folder",
       path.string());
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  std::unique_ptr<Tokenizer> tokenizer = load_folder_or_file(path);
  tokenizer->set_origin(path);
  return tokenizer;
}

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::string_view text) {
  const bool written = tokenizer.bos() && !text.empty() && text.starts_with(tokenizer.piece(*tokenizer.bos()));
  return tokenizer.encode(text, {.add_special = !written, .parse_special = true});
}

}  // namespace lowbit
