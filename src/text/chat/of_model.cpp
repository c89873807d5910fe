#include <array>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/containers/gguf.h"
#include "lowbit/text/chat_template.h"
#include "lowbit/text/tokenizer.h"
#include "text/json_node.h"

namespace lowbit {
namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{64} << 20;
constexpr std::array<const char*, 7> kTokenNames = {"bos_token", "eos_token", "unk_token", "pad_token",
                                                    "sep_token", "cls_token", "mask_token"};

using Tokens = std::map<std::string, std::string>;

[[noreturn]] void no_template(const std::filesystem::path& path, std::string_view looked_for) {
  fail(ErrorCode::kConfig,
       "{}: the model has no chat template (looked for {}); take one that was tuned on conversations, or leave 'chat' "
       "out",
       path.string(), looked_for);
}

std::optional<Json> read_json(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  return parse_json(read_file(file, kMaxConfigBytes), file.string());
}

void add_tokens(const JsonNode& config, Tokens& tokens) {
  for (const char* name : kTokenNames) {
    const auto found = config.find(name);
    if (found) tokens.try_emplace(name, found->json().is_object() ? found->at("content").text() : found->text());
  }
}

/// A text, or a list of templates by name.
std::optional<std::string> template_in(const JsonNode& config) {
  const auto found = config.find("chat_template");
  if (!found) return std::nullopt;
  if (found->json().is_string()) return found->text();
  std::string names;
  for (const JsonNode& item : found->items()) {
    const std::string name = item.at("name").text();
    if (name == "default") return item.at("template").text();
    names += (names.empty() ? "'" : ", '") + name + "'";
  }
  fail(ErrorCode::kData, "{}: none of the templates {} is called 'default'", found->where(), names);
}

ChatTemplate of_folder(const std::filesystem::path& folder) {
  Tokens tokens;
  std::optional<std::string> source;
  std::string origin;
  const auto use = [&](std::optional<std::string> found, const std::filesystem::path& file) {
    if (source || !found) return;
    source = std::move(found);
    origin = file.string();
  };
  const auto plain = folder / "chat_template.jinja";
  if (std::filesystem::exists(plain)) use(read_file(plain, ChatTemplate::kMaxSource), plain);
  for (const char* name : {"chat_template.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    const auto json = read_json(folder / name);
    if (!json) continue;
    const JsonNode config(*json, (folder / name).string());
    use(template_in(config), folder / name);
    add_tokens(config, tokens);
  }
  if (!source) no_template(folder, "chat_template.jinja, and 'chat_template' in tokenizer_config.json");
  return ChatTemplate(*source, std::move(tokens), origin);
}

ChatTemplate of_gguf(const std::filesystem::path& path) {
  const auto file = GgufFile::open(path);
  if (file->metadata("tokenizer.chat_template") == nullptr) no_template(path, "'tokenizer.chat_template'");
  Tokens tokens;
  const auto add = [&](const std::string& name, const std::string& key) {
    const std::int64_t id = file->integer(key, -1);
    if (id < 0) return;
    const auto& pieces = file->strings("tokenizer.ggml.tokens");
    if (id >= static_cast<std::int64_t>(pieces.size())) {
      fail(ErrorCode::kData, "{}: '{}' is {}, and there are {} tokens", path.string(), key, id, pieces.size());
    }
    tokens[name] = pieces[static_cast<std::size_t>(id)];
  };
  add("bos_token", "tokenizer.ggml.bos_token_id");
  add("eos_token", "tokenizer.ggml.eos_token_id");
  add("unk_token", "tokenizer.ggml.unknown_token_id");
  add("pad_token", "tokenizer.ggml.padding_token_id");
  return ChatTemplate(file->string("tokenizer.chat_template"), std::move(tokens), path.string());
}

}  // namespace

ChatTemplate ChatTemplate::of_model(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return of_folder(path);
  if (MappedFile::open(path)->text().starts_with("GGUF")) return of_gguf(path);
  return of_folder(path.parent_path());
}

ChatTemplate Tokenizer::chat_template() const {
  if (origin_.empty()) fail(ErrorCode::kConfig, "the tokenizer belongs to no model, so that there is no chat template");
  return ChatTemplate::of_model(origin_);
}

}  // namespace lowbit
