#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "support/error_text.h"
#include "support/test_data.h"
#include "text_golden.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;

// Without the waiting for the disk of an atomic write.
void write_text(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

// A tokenizer.json that works, to be damaged.
Json small() {
  return Json::parse(R"({"added_tokens": [{"id": 3, "content": "<s>", "special": true}], "normalizer": null,
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": " "}, "behavior": "Removed"}, "post_processor": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

std::unique_ptr<Tokenizer> load(const Json& json) {
  const testing::TemporaryFolder folder;
  write_text(folder / "tokenizer.json", json.dump());
  return load_tokenizer(folder.path());
}

std::string problem(ErrorCode code, const std::function<void(Json&)>& damage) {
  Json json = small();
  damage(json);
  return error_text(code, [&] { (void)load(json); });
}

TEST(TokenizerJson, ReadsTheSmallFile) {
  const auto tokenizer = load(small());
  EXPECT_EQ(testing::ids_of(*tokenizer, "ab<s>ba"), (std::vector<TokenId>{2, 3, 1, 0}));
  EXPECT_EQ(tokenizer->kind(), "BPE (tokenizer.json)");
}

TEST(TokenizerJson, RefusesMergesOfUnknownTokens) {
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["model"]["merges"] = {"a c"}; }),
              HasSubstr("'model': merge 0 ('a' 'c') needs the token 'c', which is not in the vocabulary"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["model"]["merges"] = {"b a"}; }),
              HasSubstr("merge 0 ('b' 'a') needs the token 'ba'"));
  for (const char* const merge : {R"("ab")", R"("a b c")", R"(["a"])", R"(["a", 1])", "7", R"(["a", "b", "c"])"}) {
    EXPECT_THAT(problem(ErrorCode::kData, [&](Json& j) { j["model"]["merges"] = Json::array({Json::parse(merge)}); }),
                HasSubstr("'model.merges[0]' must be two tokens, as \"a b\" or [\"a\", \"b\"]"));
  }
}

TEST(TokenizerJson, RefusesBadIds) {
  const auto with_id = [](const char* id) {
    return problem(ErrorCode::kData, [&](Json& j) { j["model"]["vocab"]["b"] = Json::parse(id); });
  };
  EXPECT_THAT(with_id("-1"), HasSubstr("token 'b' has the id -1, expected 0 to 4194303"));
  EXPECT_THAT(with_id("4194304"), HasSubstr("token 'b' has the id 4194304, expected 0 to 4194303"));
  EXPECT_THAT(with_id("18446744073709551615"), HasSubstr("expected 0 to 4194303"));
  EXPECT_THAT(with_id("0"), HasSubstr("tokens 'a' and 'b' have the same id 0"));
  EXPECT_THAT(with_id("1.5"), HasSubstr("'model.vocab.b' must be a whole number, not number"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["added_tokens"][0]["id"] = 1; }),
              HasSubstr("tokens 'b' and '<s>' have the same id 1"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["added_tokens"][0]["id"] = -5; }),
              HasSubstr("'added_tokens[0].id' is -5, expected a token id"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["added_tokens"][0]["id"] = 2000000000; }),
              HasSubstr("token '<s>' has the id 2000000000, expected 0 to 4194303"));
}

TEST(TokenizerJson, NamesComponentsThatItLacks) {
  const auto with = [](const char* part, const char* json) {
    return problem(ErrorCode::kUnsupported, [&](Json& j) { j[part] = Json::parse(json); });
  };
  EXPECT_THAT(with("normalizer", R"({"type": "Precompiled"})"),
              HasSubstr("'normalizer': the normalizer 'Precompiled' is not supported; known are Sequence, NFC"));
  EXPECT_THAT(with("pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}]})"),
              HasSubstr("'pre_tokenizer.pretokenizers[0]': the pre-tokenizer 'Punctuation' is not supported"));
  EXPECT_THAT(with("decoder", R"({"type": "WordPiece"})"), HasSubstr("the decoder 'WordPiece' is not supported"));
  EXPECT_THAT(with("post_processor", R"({"type": "BertProcessing"})"),
              HasSubstr("the post-processor 'BertProcessing' is not supported"));
  EXPECT_THAT(with("model", R"({"type": "Unigram", "vocab": []})"), HasSubstr("the model 'Unigram' is not supported"));
  EXPECT_THAT(problem(ErrorCode::kUnsupported, [](Json& j) { j["model"]["dropout"] = 0.1; }),
              HasSubstr("'model.dropout': random merges are not supported"));
}

TEST(TokenizerJson, RefusesTemplatesThatNameNoTokenOrTwoTexts) {
  const auto with = [](ErrorCode code, const char* json) {
    return problem(code, [&](Json& j) { j["post_processor"] = Json::parse(json); });
  };
  EXPECT_THAT(with(ErrorCode::kData, R"({"type": "TemplateProcessing", "special_tokens": {},
                   "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]})"),
              HasSubstr("'post_processor.special_tokens.<s>' is missing"));
  EXPECT_THAT(with(ErrorCode::kData, R"({"type": "TemplateProcessing", "special_tokens": {"<s>": {"ids": [99]}},
                   "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]})"),
              HasSubstr("token id 99 is outside the vocabulary, expected 0 to 3"));
  EXPECT_THAT(with(ErrorCode::kUnsupported, R"({"type": "TemplateProcessing", "special_tokens": {},
                   "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]})"),
              HasSubstr("the text must occur exactly once"));
}

TEST(TokenizerJson, RefusesDeepAndBrokenFiles) {
  Json json = small();
  Json deep = {{"type", "NFC"}};
  for (int i = 0; i < 40; ++i) deep = {{"type", "Sequence"}, {"normalizers", Json::array({deep})}};
  json["normalizer"] = deep;
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)load(json); }), HasSubstr("more than 64 nested levels"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j.erase("model"); }), HasSubstr("'model' is missing"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["model"]["vocab"] = 7; }),
              HasSubstr("'model.vocab' must be an object of tokens and ids, not number"));
  EXPECT_THAT(problem(ErrorCode::kData, [](Json& j) { j["model"]["unk_token"] = "<unk>"; }),
              HasSubstr("the unknown token '<unk>' is not in the vocabulary"));
}

TEST(TokenizerJson, GivesUpOnACatastrophicPattern) {
  Json json = small();
  json["pre_tokenizer"]["pattern"]["Regex"] = "(a+)+$(?!x)b|((a|aa|aaa)+)+c";
  const auto tokenizer = load(json);
  EXPECT_THAT(
      error_text(ErrorCode::kUnsupported, [&] { (void)testing::ids_of(*tokenizer, std::string(200, 'a') + "!"); }),
      HasSubstr("gives up at byte 0 of a text: match limit exceeded"));
}

// A search may take a hundred thousand steps, but not one at each few bytes of a text.
TEST(TokenizerJson, GivesUpOnAPatternThatIsSlowEverywhere) {
  Json json = small();
  json["pre_tokenizer"]["pattern"]["Regex"] = "(a|a)+b|a";
  const auto tokenizer = load(json);
  const std::string slow = std::string(16, 'a') + "b ";
  EXPECT_EQ(testing::ids_of(*tokenizer, slow), (std::vector<TokenId>{}));
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::string(16, 'a') + "!";
  EXPECT_THAT(error_text(ErrorCode::kUnsupported, [&] { (void)testing::ids_of(*tokenizer, text); }),
              HasSubstr("match limit exceeded"));
}

TEST(TokenizerJson, RefusesStepsThatMultiplyATextAgainAndAgain) {
  const auto with = [](const char* part, const char* list, const char* step, const char* text) {
    Json json = small();
    json[part] = {{"type", "Sequence"}, {list, Json::array()}};
    for (int i = 0; i < 20; ++i) json[part][list].push_back(Json::parse(step));
    return error_text(ErrorCode::kUnsupported, [&] {
      const auto tokenizer = load(json);
      (void)tokenizer->decode(testing::ids_of(*tokenizer, text));
    });
  };
  const auto expected = HasSubstr("which is more than 64 times what it was");
  const char* const replace = R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"})";
  EXPECT_THAT(with("normalizer", "normalizers", replace, "ab"), expected);
  EXPECT_THAT(with("decoder", "decoders", replace, "ab"), expected);
  const char* const bytes = R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})";
  EXPECT_THAT(with("pre_tokenizer", "pretokenizers", bytes, "\xC3\xA9"), expected);
}

TEST(TokenizerJson, TakesIdsThatAreFarApart) {
  Json json = small();
  json["model"]["vocab"]["ab"] = 4194303;
  const auto tokenizer = load(json);
  EXPECT_EQ(tokenizer->size(), 4194304);
  EXPECT_EQ(testing::ids_of(*tokenizer, "ab"), (std::vector<TokenId>{4194303}));
  EXPECT_EQ(tokenizer->piece(4000000), "");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{0, 4000000, 4194303}), "aab");
}

TEST(TokenizerJson, SurvivesEveryTruncation) {
  const std::string whole = small().dump();
  const testing::TemporaryFolder folder;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    write_text(folder / "tokenizer.json", whole.substr(0, size));
    EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)load_tokenizer(folder.path()); }),
                HasSubstr("not valid JSON"));
  }
}

TEST(LoadTokenizer, SaysWhatItLooksFor) {
  const testing::TemporaryFolder folder;
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)load_tokenizer(folder.path()); }),
              HasSubstr("no tokenizer found; expected tokenizer.json or tokenizer.model in this folder"));
  write_file_atomically(folder / "x.model", "not a model");
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)load_tokenizer(folder / "x.model"); }),
              HasSubstr("not a sentencepiece model"));
}

TEST(Tokenizer, NamesTheByteOfIllFormedTextAndForeignIds) {
  const auto tokenizer = load(small());
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)tokenizer->encode("ab\xFF"); }),
            "text to tokenize: invalid UTF-8 at byte 2");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)tokenizer->decode(std::vector<TokenId>{4}); }),
            "token id 4 is outside the vocabulary, expected 0 to 3");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)tokenizer->is_special(-1); }),
            "token id -1 is outside the vocabulary, expected 0 to 3");
}

}  // namespace
}  // namespace lowbit
