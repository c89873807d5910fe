#pragma once

#include <map>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/gguf_seeds.h"
#include "lowbit/base/json.h"
#include "lowbit/containers/gguf_writer.h"

namespace lowbit::fuzzing {

/// A tokenizer.json for each variant of the golden file, with a vocabulary small enough to be changed everywhere.
inline std::vector<std::string> small_tokenizer_jsons() {
  const Json model =
      parse_json(R"({"type":"BPE","dropout":null,"unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,
    "ignore_merges":false,"vocab":{"<unk>":0,"<s>":1,"</s>":2,"<0x61>":3,"a":4,"b":5,"\u2581":6,"\u0120":7,
    "ab":8,"abab":9,"\u2581a":10,"l":11,"o":12,"lo":13,"<|end|>":14,"\u0120a":15,"2":16,"aa":17},
    "merges":["a b",["ab","ab"],"l o","\u2581 a","\u0120 a","a a"]})",
                 "model");
  const Json all = parse_json(golden("text/pipelines.json"), "pipelines.json");
  std::vector<std::string> result;
  for (const auto& [name, variant] : all["variants"].items()) {
    Json file = variant["shell"];
    file["model"] = model;
    result.push_back(file.dump());
  }
  return result;
}

/// GGUF files that hold a byte-level and a sentencepiece vocabulary.
inline std::vector<std::string> small_gguf_vocabularies() {
  const std::vector<std::string> byte_level = {"<|end|>",
                                               "a",
                                               "b",
                                               "l",
                                               "o",
                                               "\xC4\xA0",
                                               "ab",
                                               "lo",
                                               "\xC4\xA0"
                                               "a",
                                               "2"};
  const std::vector<GgufItem> gpt2 = {
      {"tokenizer.ggml.model", GgufType::kString, std::string("gpt2")},
      {"tokenizer.ggml.pre", GgufType::kString, std::string("smollm")},
      {"tokenizer.ggml.tokens", GgufType::kString, byte_level},
      {"tokenizer.ggml.token_type", GgufType::kI32, std::vector<std::int64_t>{3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
      {"tokenizer.ggml.merges", GgufType::kString, std::vector<std::string>{"a b", "l o", "\xC4\xA0 a"}},
      {"tokenizer.ggml.bos_token_id", GgufType::kU32, std::int64_t{0}},
      {"tokenizer.ggml.eos_token_id", GgufType::kU32, std::int64_t{0}},
      {"tokenizer.ggml.add_bos_token", GgufType::kBool, true}};
  const std::vector<std::string> pieces = {"<unk>",
                                           "<s>",
                                           "</s>",
                                           "<0x41>",
                                           "\xE2\x96\x81",
                                           "a",
                                           "b",
                                           "ab",
                                           "\xE2\x96\x81"
                                           "a"};
  const std::vector<GgufItem> llama = {
      {"tokenizer.ggml.model", GgufType::kString, std::string("llama")},
      {"tokenizer.ggml.tokens", GgufType::kString, pieces},
      {"tokenizer.ggml.token_type", GgufType::kI32, std::vector<std::int64_t>{2, 3, 3, 6, 1, 1, 1, 1, 1}},
      {"tokenizer.ggml.scores", GgufType::kF32, std::vector<double>{0, 0, 0, 0, -1, -2, -3, -4, -5}},
      {"tokenizer.ggml.bos_token_id", GgufType::kU32, std::int64_t{1}},
      {"tokenizer.ggml.eos_token_id", GgufType::kU32, std::int64_t{2}},
      {"tokenizer.ggml.add_space_prefix", GgufType::kBool, true}};
  return {gguf_bytes(gpt2), gguf_bytes(llama)};
}

}  // namespace lowbit::fuzzing
