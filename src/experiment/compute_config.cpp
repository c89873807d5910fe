#include "lowbit/experiment/experiment.h"
#include "lowbit/tensor/device.h"

namespace lowbit {

void ComputeConfig::visit(FieldVisitor& v) {
  enum class Precision { kFloat32, kBFloat16 };
  Precision precision = dtype == DType::kBFloat16 ? Precision::kBFloat16 : Precision::kFloat32;
  v.choice("dtype", precision, {"float32", "bfloat16"}, "type of activations and dense weights");
  dtype = precision == Precision::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
  v.field("deterministic", deterministic, "results do not depend on batch, threads or order");
  v.choice("memory", memory, {"resident", "streamed", "auto"},
           "keep all blocks in memory while evaluating, or one at a time; auto: all if they fit");
  v.field("memory_limit", memory_limit,
          "MiB that a piece of work should stay within, by smaller batches of activations and files for what does not "
          "fit; 0: what the machine has available",
          {0, std::int64_t{1} << 30});
  v.field("device", device, "where to compute: cpu, cuda or cuda:<number>");
  v.field("threads", threads, "threads; 0 takes one for each core", {0, 1024});
  v.field("batch_tokens", batch_tokens, "tokens of one batch", {1, std::int64_t{1} << 24});
  v.choice("execution", execution, {"simulated", "packed", "auto"},
           "products with quantized weights: simulated: on decoded weights; packed: on the codes, by kernels; auto: "
           "packed where there is a kernel");
}

ComputeOptions ComputeConfig::options() const {
  return {dtype, deterministic, false, compute_device(device), execution};
}

}  // namespace lowbit
