// The model and the post-processor of a tokenizer.json.
#include <limits>

#include "text/json_components.h"

namespace lowbit {
namespace {

BpeModel::Merge merge_from_json(const JsonNode& merges, std::size_t index) {
  const Json& value = merges.json()[index];
  if (value.is_array()) {
    if (value.size() == 2 && value[0].is_string() && value[1].is_string()) {
      return {value[0].get<std::string>(), value[1].get<std::string>()};
    }
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  merges.item(index).wrong_kind("two tokens, as \"a b\" or [\"a\", \"b\"]");
}

Vocabulary vocabulary_from_json(const JsonNode& node) {
  if (!node.json().is_object()) node.wrong_kind("an object of tokens and ids");
  Vocabulary result;
  const std::string where = node.where();
  for (const auto& [piece, id] : node.json().items()) {
    result.add(piece, JsonNode(id, node.origin(), "model.vocab." + piece).integer(), where);
  }
  return result;
}

std::vector<TokenId> template_tokens(const JsonNode& special, const std::string& name) {
  std::vector<TokenId> ids;
  for (const JsonNode& id : special.at(name).at("ids").items()) ids.push_back(token_id_from_json(id));
  return ids;
}

TokenFrame template_frame(const JsonNode& node) {
  TokenFrame frame;
  bool after = false;
  for (const JsonNode& part : node.at("single").items()) {
    if (const auto sequence = part.find("Sequence")) {
      if (after || sequence->at("id").text() != "A") {
        fail(ErrorCode::kUnsupported, "{}: the text must occur exactly once, as sequence 'A'", node.where());
      }
      after = true;
      continue;
    }
    auto& side = after ? frame.after : frame.before;
    const auto ids = template_tokens(node.at("special_tokens"), part.at("SpecialToken").at("id").text());
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!after) fail(ErrorCode::kUnsupported, "{}: the text must occur exactly once, as sequence 'A'", node.where());
  return frame;
}

TokenFrame sequence_frame(const JsonNode& node) {
  TokenFrame frame;
  for (const JsonNode& processor : node.at("processors").items()) {
    const TokenFrame inner = frame_from_json(processor);
    frame.before.insert(frame.before.begin(), inner.before.begin(), inner.before.end());
    frame.after.insert(frame.after.end(), inner.after.begin(), inner.after.end());
  }
  return frame;
}

}  // namespace

std::unique_ptr<BpeModel> bpe_from_json(const JsonNode& node) {
  // Files of the first years lack the type; their models are all BPE with merges.
  const std::string type = node.text("type", node.find("merges") ? "BPE" : "");
  if (type != "BPE") {
    fail(ErrorCode::kUnsupported, "{}: the model '{}' is not supported; known is BPE", node.where(), type);
  }
  if (const auto dropout = node.find("dropout"); dropout && dropout->json() != 0) {
    fail(ErrorCode::kUnsupported, "{}: random merges are not supported; set it to null", dropout->where());
  }
  BpeOptions options;
  if (const auto unknown = node.find("unk_token")) options.unknown_token = unknown->text();
  options.continuing_subword_prefix = node.text("continuing_subword_prefix", "");
  options.end_of_word_suffix = node.text("end_of_word_suffix", "");
  options.fuse_unknown = node.flag("fuse_unk", false);
  options.byte_fallback = node.flag("byte_fallback", false);
  options.ignore_merges = node.flag("ignore_merges", false);
  const JsonNode list = node.at("merges");
  if (!list.json().is_array()) list.wrong_kind("a list");
  std::vector<BpeModel::Merge> merges;
  merges.reserve(list.json().size());
  for (std::size_t i = 0; i < list.json().size(); ++i) merges.push_back(merge_from_json(list, i));
  return std::make_unique<BpeModel>(vocabulary_from_json(node.at("vocab")), merges, std::move(options), node.where());
}

TokenFrame frame_from_json(const JsonNode& node) {
  const std::string type = node.at("type").text();
  if (type == "ByteLevel") return {};  // moves offsets only
  if (type == "TemplateProcessing") return template_frame(node);
  if (type == "Sequence") return sequence_frame(node);
  fail(ErrorCode::kUnsupported,
       "{}: the post-processor '{}' is not supported; known are Sequence, ByteLevel, "
       "TemplateProcessing",
       node.where(), type);
}

}  // namespace lowbit
