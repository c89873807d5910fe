#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "lowbit/model/model.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "other_device/emulated_kernels.h"
#include "other_device/stand_in.h"
#include "quantization/small_run.h"
#include "tensor/tensor_cases.h"

// Packed products on the stand-in for a device, by the kernels' own sources on the tests' model of a GPU.
namespace lowbit::testing {

inline at::Tensor random_floats(const Shape& shape, std::string_view name) {
  return random_tensor(shape, DType::kFloat32, name);
}

inline QuantizedWeight quantized(std::int64_t rows, std::int64_t columns, int bits, std::int64_t group) {
  return quantize_to_nearest(random_floats({rows, columns}, "weight"),
                             GridOptions{.bits = bits, .group = group}.spec());
}

class PackedOnOtherDevice : public ::testing::Test {
 protected:
  static std::shared_ptr<Model> open(const SmallRun& run, const std::string& artifact, Execution execution, bool there,
                                     DType type = DType::kFloat32) {
    ComputeOptions options{.dtype = type, .deterministic = !there};
    options.execution = execution;
    if (there) options.device = stand_in();
    return Model::make(run.artifact(artifact), nullptr, options, Model::Residency::kResident,
                       runtime_readers(run.registries));
  }
  static at::Tensor logits(const Model& model) {
    const NoGradScope no_grad;
    const at::Tensor ids = make_arange(14, DType::kInt64).mul(7).remainder(20).view({2, 7});
    return model.logits(model.run(model.embed(ids))).cpu();
  }

 private:
  EmulatedKernels kernels_{stand_in()};
};

}  // namespace lowbit::testing
