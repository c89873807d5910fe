#pragma once

// LibTorch's tensor by name only: public headers take and return it, and sources include <ATen/core/Tensor.h>.
namespace at {
class Tensor;
}
