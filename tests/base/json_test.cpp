#include "lowbit/base/json.h"

#include <gtest/gtest.h>

#include "support/error_text.h"

namespace lowbit {
namespace {

std::string problem(std::string_view text) {
  return testing::error_text(ErrorCode::kData, [&] { (void)parse_json(text, "x.json"); });
}

TEST(ParseJson, KeepsValuesAndTheOrderOfKeys) {
  const std::string text = R"({"z":1,"a":[-2,18446744073709551615,0.5,true,false,null,"é\n"],"m":{"":{}}})";
  EXPECT_EQ(parse_json(text, "x.json").dump(), text);
  EXPECT_EQ(parse_json(" 3 ", "x.json"), 3);
  EXPECT_EQ(parse_json(R"("\ud83d\ude00")", "x.json"), "\xF0\x9F\x98\x80");
}

TEST(ParseJson, RefusesMoreThan64Levels) {
  EXPECT_EQ(parse_json(std::string(64, '[') + std::string(64, ']'), "x.json").size(), 1U);
  EXPECT_EQ(problem(std::string(65, '[') + std::string(65, ']')), "x.json: more than 64 nested levels");
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += R"({"a":)";
  EXPECT_EQ(problem(objects), "x.json: more than 64 nested levels");
  EXPECT_EQ(problem(std::string(1'000'000, '[')), "x.json: more than 64 nested levels");
}

TEST(ParseJson, RefusesDuplicateKeysOfOneObject) {
  EXPECT_EQ(problem(R"({"a":1,"b":{"a":2},"a":3})"), "x.json: duplicate key 'a'");
  EXPECT_EQ(problem(R"({"a":1,"\u0061":3})"), "x.json: duplicate key 'a'");
  EXPECT_EQ(parse_json(R"([{"a":1},{"a":2},{"b":{"a":1},"a":2}])", "x.json").size(), 3U);
}

TEST(ParseJson, RefusesTrailingTextAndBrokenSyntax) {
  EXPECT_EQ(problem("{} x"), "x.json: not valid JSON at byte 4");
  EXPECT_EQ(problem("[1,]"), "x.json: not valid JSON at byte 4");
  EXPECT_EQ(problem("{'a':1}"), "x.json: not valid JSON at byte 2");
  EXPECT_EQ(problem(""), "x.json: not valid JSON at byte 1");
  for (const char* text :
       {"[1", "[NaN]", "[01]", "[1.]", "// c\n1", R"("a)", "\"a\nb\"", R"("\x")", R"("\ud800")", "tru"}) {
    EXPECT_NE(problem(text).find("x.json: not valid JSON"), std::string::npos) << text;
  }
}

TEST(ParseJson, RefusesNumbersBeyondADouble) {
  EXPECT_NE(problem("[1e999]").find("x.json: not valid JSON"), std::string::npos);
}

TEST(ParseJson, NamesTheByteOfIllFormedUtf8) { EXPECT_EQ(problem("[\"a\xC3\"]"), "x.json: invalid UTF-8 at byte 3"); }

}  // namespace
}  // namespace lowbit
