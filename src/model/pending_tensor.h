#pragma once

#include <string>

#include "lowbit/containers/safetensors.h"
#include "lowbit/model/weight_source.h"
#include "model/stored_bytes.h"

namespace lowbit {

/// A tensor about to be written; one of the base model is loaded when its turn comes.
struct PendingTensor {
  SafetensorsWriter::Declaration declaration;
  StoredBytes bytes;
  const StoredTensor* base = nullptr;
};

/// The type that holds a base tensor exactly: its own if it is a float type, else float32.
[[nodiscard]] StorageType plain_type(const std::string& type);

/// Writes it as the writer's next tensor and lets go of its bytes.
void write_pending(SafetensorsWriter& writer, const WeightSource& base, PendingTensor& tensor);

}  // namespace lowbit
