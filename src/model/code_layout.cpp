#include "model/code_layout.h"

#include "lowbit/base/error.h"

namespace lowbit {

std::string_view code_layout_name(CodeLayout layout) {
  switch (layout) {
    case CodeLayout::kPacked: return "pack-quantized";
    case CodeLayout::kFloat8: return "float-quantized";
    case CodeLayout::kNvfp4: return "nvfp4-pack-quantized";
    case CodeLayout::kMxfp4: return "mxfp4-pack-quantized";
  }
  fail(ErrorCode::kInternal, "unknown layout {}", static_cast<int>(layout));
}

}  // namespace lowbit
