#pragma once

#include <string>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/containers/gguf_writer.h"
#include "support/test_data.h"

namespace lowbit::fuzzing {

/// The bytes of a GGUF file; the tensors are zeros.
inline std::string gguf_bytes(const std::vector<GgufItem>& items, const std::vector<TensorDeclaration>& tensors = {}) {
  const testing::TemporaryFolder folder;
  GgufWriter writer(folder / "seed.gguf", items, tensors);
  for (const TensorDeclaration& tensor : tensors) {
    std::int64_t elements = 1;
    for (const std::int64_t dimension : tensor.shape) elements *= dimension;
    const BlockSize block = block_size(tensor.type);
    const std::string zeros(static_cast<std::size_t>(elements / block.elements * block.bytes), '\0');
    writer.write(zeros.data(), zeros.size());
  }
  writer.finish();
  return read_file(folder / "seed.gguf");
}

}  // namespace lowbit::fuzzing
