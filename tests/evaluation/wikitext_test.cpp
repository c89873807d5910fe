#include "evaluation/wikitext.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "data/readers.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

TEST(WikitextDetokenizer, UndoesEachRule) {
  EXPECT_EQ(detokenize_wikitext(" = Title = \n \n Jones ' 1 @,@ 000 @-@ word @.@ text \n"),
            " = Title =\n\nJones' 1,000-word.text\n");
  EXPECT_EQ(detokenize_wikitext("a : b ; c . d ! e ? f , g"), "a: b; c. d! e? f, g");
  EXPECT_EQ(detokenize_wikitext("x ( a [ b ] ) { c } \" d \" ' e ' y"), "x (a [b]) {c} \"d\" 'e' y");
  EXPECT_EQ(detokenize_wikitext("( \u00A0 a\u2009) ( open"), "(a) ( open");
  EXPECT_EQ(detokenize_wikitext("= = = = A = = = B = = C 5 \u00B0 N 's"), "==== A === B == C 5\u00B0N's");
}

TEST(WikitextWords, CountPiecesBetweenWhiteSpace) {
  EXPECT_EQ(count_words("a b"), 2);
  EXPECT_EQ(count_words(" a \n\n b "), 4);  // empty pieces at both ends
  EXPECT_EQ(count_words(""), 1);
  EXPECT_EQ(count_words("a\u00A0b\u3000c"), 3);
}

TEST(WikitextDetokenizer, EqualsPythonOnWholeSplits) {
  const Json golden =
      parse_json(read_file(testing::source_folder() / "tests/golden/evaluation/wikitext_pages.json"), "golden");
  DatasetDefinition definition;
  definition.reader = RowReader::kWikitextPages;
  for (const auto& [name, expected] : golden.items()) {
    const auto path = testing::shared_data("data/wikitext2/wiki." + name + ".raw");
    if (!path) GTEST_SKIP() << "no data/wikitext2 in the test data";
    const std::vector<std::string> pages = read_documents(definition, read_text(*path), "wiki");
    std::int64_t words = 0;
    std::size_t bytes = 0;
    std::string clean;
    for (const std::string& page : pages) {
      words += count_words(page);
      bytes += page.size();
      clean += detokenize_wikitext(page);
    }
    EXPECT_EQ(pages.size(), expected.at("pages").get<std::size_t>());
    EXPECT_EQ(bytes, expected.at("bytes").get<std::size_t>());
    EXPECT_EQ(words, expected.at("words").get<std::int64_t>());
    EXPECT_EQ(clean.size(), expected.at("detokenized_bytes").get<std::size_t>());
    EXPECT_EQ(crc32(0, reinterpret_cast<const Bytef*>(clean.data()), static_cast<uInt>(clean.size())),
              expected.at("detokenized_crc32").get<std::uint64_t>());
  }
}

}  // namespace
}  // namespace lowbit
