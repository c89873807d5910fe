#pragma once

#include <string>
#include <utility>

#include "lowbit/base/error.h"

namespace lowbit::testing {

/// The message of the `Error` that `action` throws, after its code: "config: x.yaml:1:1: ...". Empty when none is
/// thrown.
template <typename Action>
std::string config_error(Action&& action) {
  try {
    std::forward<Action>(action)();
  } catch (const Error& error) {
    return error.code() == ErrorCode::kConfig ? error.what() : std::string("not a config error: ") + error.what();
  }
  return "";
}

}  // namespace lowbit::testing
