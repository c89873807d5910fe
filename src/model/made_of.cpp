#include "lowbit/model/made_of.h"

#include "lowbit/base/error.h"
#include "lowbit/model/weight_source.h"

namespace lowbit {

void check_made_of(const WeightSource& quantized, const WeightSource& base) {
  const auto check = [&](const char* what, std::int64_t Architecture::*size) {
    const std::int64_t own = quantized.architecture().*size;
    const std::int64_t expected = base.architecture().*size;
    if (own == expected) return;
    fail(ErrorCode::kConfig, "{}: is not made of '{}': its {} {}, expected {}", quantized.path().string(),
         base.path().string(), what, own, expected);
  };
  check("layers are", &Architecture::layers);
  check("hidden width is", &Architecture::hidden);
  check("MLP's width is", &Architecture::intermediate);
  check("heads are", &Architecture::heads);
  check("key-value heads are", &Architecture::kv_heads);
  check("heads' width is", &Architecture::head_dim);
  check("vocabulary is", &Architecture::vocabulary);
}

}  // namespace lowbit
