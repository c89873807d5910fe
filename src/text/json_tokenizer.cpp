#include <algorithm>

#include "lowbit/base/files.h"
#include "text/json_components.h"
#include "text/load_files.h"
#include "text/pipeline_tokenizer.h"

namespace lowbit {
namespace {

// Raised when the same file comes to give other tokens.
constexpr int kJsonTokenizerVersion = 1;
constexpr std::uint64_t kMaxTokenizerBytes = std::uint64_t{256} << 20;

// Tokens that the folder's other files name and tokenizer.json does not list: the model's own become special, new ones
// join with the id they are given.
void add_from_config(std::vector<AddedToken>& added, const Vocabulary& vocabulary, const TokenizerConfig& config) {
  const auto listed = [&](const std::string& content) {
    return std::any_of(added.begin(), added.end(), [&](const AddedToken& token) { return token.content == content; });
  };
  for (const AddedToken& token : config.added) {
    if (!listed(token.content)) added.push_back(token);
  }
  for (const std::string& content : config.named_special) {
    const auto id = vocabulary.find(content);
    if (!id || listed(content)) continue;
    AddedToken token;
    token.content = content;
    token.id = *id;
    token.normalized = false;
    token.special = true;
    added.push_back(std::move(token));
  }
}

std::optional<TokenId> id_of(const std::optional<std::string>& content, const PipelineParts& parts) {
  if (!content) return std::nullopt;
  if (const auto id = parts.model->vocabulary().find(*content)) return id;
  for (const AddedToken& token : parts.added) {
    if (token.content == *content) return token.id;
  }
  return std::nullopt;
}

std::string kind_of(const JsonNode& root) {
  const std::string pre = root.find("pre_tokenizer") ? root.at("pre_tokenizer").json().dump() : "";
  const bool bytes = pre.find("\"ByteLevel\"") != std::string::npos;
  return bytes ? "byte-level BPE (tokenizer.json)" : "BPE (tokenizer.json)";
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_json(const std::filesystem::path& file, const TokenizerConfig& config) {
  const std::string content = read_file(file, kMaxTokenizerBytes);
  const Json json = parse_json(content, file.string());
  const JsonNode root(json, file.string());
  PipelineParts parts;
  parts.kind = kind_of(root);
  parts.model = bpe_from_json(root.at("model"));
  if (const auto node = root.find("normalizer")) parts.normalizer = normalizer_from_json(*node);
  if (const auto node = root.find("pre_tokenizer")) parts.pre_tokenizer = pre_tokenizer_from_json(*node);
  if (const auto node = root.find("decoder")) parts.decoder = decoder_from_json(*node);
  if (const auto node = root.find("added_tokens")) parts.added = added_tokens_from_json(*node);
  add_from_config(parts.added, parts.model->vocabulary(), config);
  if (const auto node = root.find("post_processor")) {
    TokenFrame frame = frame_from_json(*node);
    parts.before = std::move(frame.before);
    parts.after = std::move(frame.after);
  }
  parts.bos = id_of(config.bos_token, parts);
  if (!parts.bos && !parts.before.empty()) parts.bos = parts.before.front();
  parts.eos = id_of(config.eos_token, parts);
  Hasher hasher;
  hasher.add("tokenizer.json").add(kJsonTokenizerVersion).add(content);
  add_config(hasher, config);
  parts.fingerprint = hasher.finish();
  return with_context(file.string(), [&] { return std::make_unique<PipelineTokenizer>(std::move(parts)); });
}

}  // namespace lowbit
