#include "quantization/transforms/head.h"

namespace lowbit {

at::Tensor QuantizedHead::rewrite(const std::string&, const at::Tensor& tensor, const Architecture&,
                                  const std::function<at::Tensor(const std::string&)>&) const {
  return tensor;
}

Architecture QuantizedHead::rewrite(const Architecture& architecture) const {
  Architecture untied = architecture;
  untied.tied_head = false;
  return untied;
}

std::optional<QuantizedWeight> QuantizedHead::quantize_head(const at::Tensor& weight) const {
  return quantize_to_nearest(weight, options_.grid.spec());
}

}  // namespace lowbit
