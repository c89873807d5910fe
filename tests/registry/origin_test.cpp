#include "lowbit/registry/origin.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "lowbit/base/error.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;

const std::vector<ModuleOrigin> kPlugins = {{"one", "1.0", {}}, {"two", "2.0", {}}};

TEST(ModuleOrigin, NamesThePluginAndNothingThatIsBuiltIn) {
  EXPECT_EQ(ModuleOrigin().text(" by "), "");
  EXPECT_EQ(kPlugins[0].text(" by "), " by plugin 'one' 1.0");
}

TEST(BlamePlugins, TurnsForeignExceptionsIntoErrorsOfThePlugins) {
  EXPECT_EQ(error_text(ErrorCode::kPlugin,
                       [] { blame_plugins(kPlugins, [] { throw std::logic_error("out of range\nin line 3"); }); }),
            "an unexpected exception while plugin 'one' 1.0, plugin 'two' 2.0 was at work: out of range");
  EXPECT_EQ(error_text(ErrorCode::kPlugin, [] { blame_plugins({kPlugins[0]}, [] { throw 7; }); }),
            "something that is no std::exception was thrown while plugin 'one' 1.0 was at work");
}

TEST(BlamePlugins, LetsErrorsAndExhaustedMemoryPass) {
  EXPECT_EQ(error_text(ErrorCode::kData, [] { blame_plugins(kPlugins, [] { fail(ErrorCode::kData, "bad data"); }); }),
            "bad data");
  EXPECT_THROW(blame_plugins(kPlugins, [] { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(BlamePlugins, BlamesNobodyWithoutPlugins) {
  EXPECT_THROW(blame_plugins({}, [] { throw std::logic_error("ours"); }), std::logic_error);
}

}  // namespace
}  // namespace lowbit
