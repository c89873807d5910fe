#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "lowbit/base/error.h"

namespace lowbit::testing {

/// The message of the error that `action` throws; fails when it throws none or one of another code.
template <typename Action>
std::string error_text(ErrorCode code, Action&& action) {
  try {
    std::forward<Action>(action)();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "expected an error";
  return "";
}

}  // namespace lowbit::testing
