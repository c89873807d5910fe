#include "lowbit/base/error.h"

#include <gtest/gtest.h>

#include "lowbit/base/cancellation.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;

TEST(ErrorCode, HasTheExitStatusOfTheManual) {
  EXPECT_EQ(exit_code(ErrorCode::kCellFailed), 1);
  EXPECT_EQ(exit_code(ErrorCode::kConfig), 2);
  EXPECT_EQ(exit_code(ErrorCode::kData), 3);
  EXPECT_EQ(exit_code(ErrorCode::kUnsupported), 4);
  EXPECT_EQ(exit_code(ErrorCode::kDevice), 5);
  EXPECT_EQ(exit_code(ErrorCode::kPlugin), 6);
  EXPECT_EQ(exit_code(ErrorCode::kIo), 7);
  EXPECT_EQ(exit_code(ErrorCode::kInternal), 70);
  EXPECT_EQ(exit_code(ErrorCode::kInterrupted), 130);
}

TEST(WithContext, PutsContextBeforeTheMessageAndKeepsTheCode) {
  const auto action = [] {
    with_context("outer", [] { with_context("inner", [] { fail(ErrorCode::kData, "{} of {}", 3, "x"); }); });
  };
  EXPECT_EQ(error_text(ErrorCode::kData, action), "outer: inner: 3 of x");
}

TEST(WithContext, HandsTheResultOn) {
  EXPECT_EQ(with_context("x", [] { return 7; }), 7);
  int value = 1;
  with_context("x", [&]() -> int& { return value; }) = 2;
  EXPECT_EQ(value, 2);
}

TEST(WithContext, LeavesOtherExceptionsAlone) {
  EXPECT_THROW(with_context("x", [] { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(Assertion, NamesTheBrokenCondition) {
  const std::string text = error_text(ErrorCode::kInternal, [] { LOWBIT_ASSERT(1 + 1 == 3); });
  EXPECT_NE(text.find("error_test.cpp:"), std::string::npos) << text;
  EXPECT_NE(text.find("expected 1 + 1 == 3; please report this"), std::string::npos) << text;
}

TEST(Cancellation, ThrowsOnceRequested) {
  Cancellation cancellation;
  cancellation.check();
  EXPECT_FALSE(cancellation.requested());
  cancellation.request();
  EXPECT_EQ(error_text(ErrorCode::kInterrupted, [&] { cancellation.check(); }),
            "interrupted; run the same command again to continue");
}

}  // namespace
}  // namespace lowbit
