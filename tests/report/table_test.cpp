#include "report/table.h"

#include <gtest/gtest.h>

namespace lowbit {
namespace {

TEST(Table, AlignsColumnsByWhatTheyTakeOnATerminal) {
  Table table({"name", "value"});
  table.add({"a", "12.5 ± 1"});
  table.add({"数据", "3"});
  EXPECT_EQ(table.plain(),
            "name     value\n"
            "--------------\n"
            "a     12.5 ± 1\n"
            "数据         3\n");
}

TEST(Table, KeepsForeignTextFromEndingAMarkdownCell) {
  Table table({"name"});
  table.add({"a|b<script>`x`\n*y*"});
  EXPECT_EQ(table.markdown(), "| name |\n| --- |\n| a\\|b\\<script>\\`x\\` \\*y\\* |\n");
}

TEST(DisplayWidth, CountsWideCharactersTwiceAndBadBytesOnce) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("±"), 1U);
  EXPECT_EQ(display_width("数据"), 4U);
  EXPECT_EQ(display_width("a\xff"), 2U);
}

}  // namespace
}  // namespace lowbit
