#include "efficiency/phase_parts.h"

#include <algorithm>
#include <memory>

namespace lowbit {
namespace {

// The CPU multiplies bfloat16 numbers as float32.
std::string float_arithmetic(const Model& model) {
  const ComputeOptions& options = model.options();
  return options.device.is_cpu() || options.dtype == DType::kFloat32 ? "float32" : "bfloat16";
}

ModelProduct head_of(const Model& model) {
  const Architecture& a = model.architecture();
  const auto parameters = static_cast<double>(a.vocabulary * a.hidden);
  const std::vector<ProductRecord> products = model.products();
  if (!products.empty() && products.back().linear == kHeadPart && products.back().packed) {
    const ProductRecord& head = products.back();
    return {kHeadPart, head.arithmetic, 1, static_cast<double>(head.bytes), parameters};
  }
  return {kHeadPart, float_arithmetic(model), 1, parameters * dtype_bytes(model.options().dtype), parameters};
}

void add_seconds(RooflinePart& part, const Peaks& peaks) {
  const double rate = peaks.operations_per_second(part.arithmetic);
  part.memory_seconds = part.bytes / peaks.bytes_per_second;
  part.compute_seconds = rate > 0 ? part.operations / rate : 0.0;
}

RooflinePart attention_part(const Model& model, std::int64_t batch, std::int64_t tokens, double before,
                            const std::string& arithmetic) {
  const Architecture& a = model.architecture();
  const auto layers = static_cast<double>(a.layers * batch);
  const double keys = before + static_cast<double>(tokens + 1) / 2;
  const auto width = static_cast<double>(a.kv_heads * a.head_dim);
  const auto queries = static_cast<double>(a.heads * a.head_dim);
  RooflinePart part{kAttentionPart, a.layers, arithmetic};
  part.bytes = 2 * layers * width * dtype_bytes(model.options().dtype) * (before + static_cast<double>(tokens));
  part.operations = 4 * layers * queries * static_cast<double>(tokens) * keys;
  return part;
}

}  // namespace

Peaks peaks_of(const MachinePeaks& machine) {
  return {.bytes_per_second = machine.bandwidths.front().second,
          .operations_per_second = [&machine](std::string_view name) { return machine.operations_per_second(name); }};
}

std::string_view kind_of_linear(std::string_view slot) {
  const std::size_t dot = slot.rfind('.');
  return dot == std::string_view::npos ? slot : slot.substr(dot + 1);
}

std::vector<ModelProduct> products_of(const Model& model) {
  std::vector<ModelProduct> products;
  for (std::int64_t index = 0; index < model.architecture().layers; ++index) {
    const std::shared_ptr<Block> block = model.block(index);
    for (const LinearSlot& slot : block->linears()) {
      const ModelProduct product{std::string(kind_of_linear(slot.name)),
                                 slot.record.packed ? slot.record.arithmetic : float_arithmetic(model), 1,
                                 static_cast<double>(slot.op->weight_bytes()),
                                 static_cast<double>(slot.op->in_features() * slot.op->out_features())};
      const auto alike = [&](const ModelProduct& other) {
        return other.name == product.name && other.arithmetic == product.arithmetic && other.bytes == product.bytes &&
               other.parameters == product.parameters;
      };
      const auto found = std::find_if(products.begin(), products.end(), alike);
      if (found == products.end()) {
        products.push_back(product);
      } else {
        ++found->count;
      }
    }
  }
  products.push_back(head_of(model));
  return products;
}

std::int64_t weight_bytes_of(const std::vector<ModelProduct>& products) {
  std::int64_t sum = 0;
  for (const ModelProduct& product : products) sum += product.count * static_cast<std::int64_t>(product.bytes);
  return sum;
}

std::vector<RooflinePart> phase_parts(const std::vector<ModelProduct>& products, const Model& model, std::int64_t batch,
                                      std::int64_t tokens, double before, const Peaks& peaks) {
  std::vector<RooflinePart> parts;
  for (const ModelProduct& product : products) {
    const auto rows = static_cast<double>(product.name == kHeadPart ? batch : batch * tokens);
    const auto count = static_cast<double>(product.count);
    parts.push_back({product.name, product.count, product.arithmetic, count * product.bytes,
                     2 * count * product.parameters * rows});
  }
  parts.push_back(attention_part(model, batch, tokens, before, peaks.attention));
  for (RooflinePart& part : parts) add_seconds(part, peaks);
  return parts;
}

double predicted_seconds(const std::vector<RooflinePart>& parts) {
  double sum = 0;
  for (const RooflinePart& part : parts) sum += part.predicted_seconds();
  return sum;
}

}  // namespace lowbit
