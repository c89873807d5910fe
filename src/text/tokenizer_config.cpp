#include <algorithm>
#include <array>
#include <charconv>

#include "lowbit/base/files.h"
#include "text/json_components.h"
#include "text/load_files.h"

namespace lowbit {
namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{64} << 20;

constexpr std::array<std::string_view, 7> kNamedTokens = {"bos_token", "eos_token", "unk_token", "pad_token",
                                                          "sep_token", "cls_token", "mask_token"};

std::optional<Json> read_optional_json(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  return parse_json(read_file(file, kMaxConfigBytes), file.string());
}

// A token is written as a string or as an object with "content".
std::string token_content(const JsonNode& node) {
  return node.json().is_object() ? node.at("content").text() : node.text();
}

void add_named(TokenizerConfig& config, const std::string& content) {
  auto& names = config.named_special;
  if (std::find(names.begin(), names.end(), content) == names.end()) names.push_back(content);
}

void read_named_tokens(const JsonNode& node, TokenizerConfig& config) {
  for (const auto name : kNamedTokens) {
    const auto found = node.find(name);
    if (!found) continue;
    const std::string content = token_content(*found);
    if (name == "bos_token" && !config.bos_token) config.bos_token = content;
    if (name == "eos_token" && !config.eos_token) config.eos_token = content;
    add_named(config, content);
  }
  const auto more = node.find("additional_special_tokens");
  if (!more) return;
  for (const JsonNode& item : more->items()) add_named(config, token_content(item));
}

std::optional<bool> optional_flag(const JsonNode& node, std::string_view key) {
  const auto found = node.find(key);
  return found ? std::optional(found->flag()) : std::nullopt;
}

TokenId id_of_key(const std::string& key, const JsonNode& node) {
  TokenId id = 0;
  const auto [end, status] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (status != std::errc{} || end != key.data() + key.size() || id < 0) {
    fail(ErrorCode::kData, "{}: the key '{}' must be a token id", node.where(), key);
  }
  return id;
}

void read_added_decoder(const JsonNode& node, TokenizerConfig& config) {
  const auto table = node.find("added_tokens_decoder");
  if (!table) return;
  if (!table->json().is_object()) table->wrong_kind("an object");
  for (const auto& [key, value] : table->json().items()) {
    config.added.push_back(added_token_from_json(table->at(key), id_of_key(key, *table)));
  }
}

void read_main_config(const JsonNode& node, TokenizerConfig& config) {
  read_named_tokens(node, config);
  config.add_bos_token = optional_flag(node, "add_bos_token");
  config.add_eos_token = optional_flag(node, "add_eos_token");
  config.legacy = optional_flag(node, "legacy");
  config.add_prefix_space = optional_flag(node, "add_prefix_space");
  read_added_decoder(node, config);
}

void read_added_list(const JsonNode& node, TokenizerConfig& config) {
  if (!node.json().is_object()) node.wrong_kind("an object of tokens and ids");
  for (const auto& item : node.json().items()) {
    const std::string& content = item.key();
    const auto same = [&](const AddedToken& token) { return token.content == content; };
    if (std::any_of(config.added.begin(), config.added.end(), same)) continue;
    AddedToken token;
    token.content = content;
    token.id = token_id_from_json(node.at(content));
    config.added.push_back(std::move(token));
  }
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder) {
  TokenizerConfig config;
  const auto main = folder / "tokenizer_config.json";
  if (const auto json = read_optional_json(main)) read_main_config(JsonNode(*json, main.string()), config);
  const auto map = folder / "special_tokens_map.json";
  if (const auto json = read_optional_json(map)) read_named_tokens(JsonNode(*json, map.string()), config);
  const auto added = folder / "added_tokens.json";
  if (const auto json = read_optional_json(added)) read_added_list(JsonNode(*json, added.string()), config);
  for (AddedToken& token : config.added) {
    const auto& names = config.named_special;
    if (std::find(names.begin(), names.end(), token.content) == names.end()) continue;
    token.special = true;
  }
  return config;
}

void add_config(Hasher& hasher, const TokenizerConfig& config) {
  const auto add_text = [&](const std::optional<std::string>& text) {
    hasher.add(text.has_value()).add(text.value_or(""));
  };
  const auto add_flag = [&](std::optional<bool> flag) { hasher.add(flag ? static_cast<int>(*flag) : -1); };
  add_text(config.bos_token);
  add_text(config.eos_token);
  for (const auto flag : {config.add_bos_token, config.add_eos_token, config.legacy, config.add_prefix_space}) {
    add_flag(flag);
  }
  hasher.add(config.added.size());
  for (const AddedToken& token : config.added) {
    hasher.add(token.content).add(token.id).add(token.single_word).add(token.lstrip).add(token.rstrip);
    hasher.add(token.normalized).add(token.special);
  }
  hasher.add(config.named_special.size());
  for (const std::string& name : config.named_special) hasher.add(name);
}

}  // namespace lowbit
