#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/containers/gguf.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit LOWBIT_EXPORT {

/// The type of a metadata value, or of an array's elements, as the file numbers them.
enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// One metadata pair. Readers insist on exact types (`{arch}.block_count` is u32, scores are f32), hence `type`: that
/// of the value, or of the elements where the value is an array.
struct GgufItem {
  std::string key;
  GgufType type = GgufType::kU32;
  GgufValue value;
};

/// Writes a GGUF version 3 file atomically: metadata and declarations first, then each tensor's bytes in the declared
/// order; only one tensor need be in memory.
///
///   GgufWriter writer(path, {{"general.architecture", GgufType::kString, "llama"}}, {{"w", StorageType::kQ8_0, {4,
///   32}}}); writer.write(blocks.data(), blocks.size()); writer.finish();
///
/// An item "general.alignment" sets the alignment, which is 32 otherwise. Throws `kInternal` for a name or key that
/// repeats, a value that its type cannot hold, more than four dimensions, rows that are no whole number of blocks, and
/// types that GGUF does not know; `kIo` when the system refuses.
class GgufWriter {
 public:
  GgufWriter(std::filesystem::path path, const std::vector<GgufItem>& metadata,
             const std::vector<TensorDeclaration>& tensors);
  ~GgufWriter();
  /// The next bytes; a tensor may come in pieces, but no piece may reach into the next tensor (`kInternal`).
  void write(const void* data, std::size_t size);
  /// Throws `kInternal` when bytes are missing; renames the file into place.
  void finish();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace LOWBIT_EXPORT
