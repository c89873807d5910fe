#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/containers/tensor_entry.h"
#include "lowbit/model/architecture.h"
#include "lowbit/model/weight_source.h"

namespace lowbit {

/// One tensor that a model of some architecture consists of, by canonical name.
struct ExpectedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  bool optional = false;  ///< a tied model may store its head all the same; it is not used
};
[[nodiscard]] std::vector<ExpectedTensor> expected_tensors(const Architecture& architecture);

/// Holds what a file offers against what the architecture needs, before any weight is read: missing, additional and
/// wrongly shaped tensors and types that are no weights are `kData` / `kUnsupported` as "<origin>: tensor 'x' ...".
void check_tensors(const Architecture& architecture, const std::vector<StoredTensor>& stored,
                   const std::string& origin);

/// The values of a tensor stored in `file` in float32, [shape]; float32 that begins on a cache line is viewed, and its
/// pages leave the memory when the view is gone. Of others no page comes into it.
[[nodiscard]] at::Tensor read_floats(const TensorEntry& entry, const std::shared_ptr<const MappedFile>& file);
/// Rows [first, first + count) of it; nothing where a stored block reaches from one row into the next.
[[nodiscard]] std::optional<at::Tensor> read_rows(const TensorEntry& entry,
                                                  const std::shared_ptr<const MappedFile>& file, std::int64_t first,
                                                  std::int64_t count);

}  // namespace lowbit
