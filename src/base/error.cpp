#include "lowbit/base/error.h"

namespace lowbit {

int exit_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kCellFailed: return 1;
    case ErrorCode::kConfig: return 2;
    case ErrorCode::kData: return 3;
    case ErrorCode::kUnsupported: return 4;
    case ErrorCode::kDevice: return 5;
    case ErrorCode::kPlugin: return 6;
    case ErrorCode::kIo: return 7;
    case ErrorCode::kInternal: return 70;
    case ErrorCode::kInterrupted: return 130;
  }
  return 70;
}

void assertion_failed(const char* condition, const char* file, int line) {
  fail(ErrorCode::kInternal, "internal error at {}:{}: expected {}; please report this", file, line, condition);
}

}  // namespace lowbit
