#include "lowbit/tensor/device.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <charconv>
#include <string>

#include "lowbit/base/error.h"
#include "tensor/gpu_driver.h"
#include "tensor/scalar_type.h"

namespace lowbit {
namespace {

constexpr std::string_view kCuda = "cuda";
// The oldest GPUs that CUDA 13 and CUDA 12 compile kernels for, and so the oldest that a LibTorch can have them for.
constexpr int kCapabilityOfCuda13 = 75;
constexpr int kCapabilityOfCuda12 = 50;

// The number behind "cuda:", 0 behind "cuda" alone; -1 for another text.
int cuda_index(std::string_view name) {
  if (name == kCuda) return 0;
  if (!name.starts_with("cuda:")) return -1;
  const std::string_view digits = name.substr(kCuda.size() + 1);
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool whole = error == std::errc() && end == digits.data() + digits.size() && digits.front() != '-';
  return whole && index < 128 ? index : -1;
}

// Nothing links LibTorch's CUDA half, so that one program runs with and without it. It must be in memory before
// LibTorch is first asked about CUDA, because LibTorch remembers the answer.
void load_cuda(std::string_view name) {
  if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) return;
  const char* reason = ::dlerror();
  fail(ErrorCode::kDevice,
       "device '{}' was asked for, and LibTorch's CUDA library cannot be loaded ({}); 'tools/setup --cuda' and a new "
       "build bring it, 'cpu' needs nothing",
       name, reason != nullptr ? reason : "no reason given");
}

}  // namespace

at::Device compute_device(std::string_view name) {
  if (name == "cpu") return at::kCPU;
  const int index = cuda_index(name);
  if (index < 0) {
    fail(ErrorCode::kConfig, "device '{}' is not known, expected 'cpu', 'cuda' or 'cuda:<number>'", name);
  }
  load_cuda(name);
  const int found = at::globalContext().hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
  const int built =
      at::detail::getCUDAHooks().hasCUDART() ? static_cast<int>(at::detail::getCUDAHooks().versionCUDART()) : 0;
  std::string obstacle = gpu_obstacle(index, built, built >= 13000 ? kCapabilityOfCuda13 : kCapabilityOfCuda12);
  if (obstacle.empty() && index >= found) obstacle = fmt::format("LibTorch finds {} GPUs; look at 'nvidia-smi'", found);
  if (!obstacle.empty()) {
    fail(ErrorCode::kDevice, "device '{}' was asked for, and LibTorch cannot use it: {}, or use 'cpu'", name, obstacle);
  }
  // Parts of a sum of bfloat16 products are joined in float32.
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

at::Tensor to_place(const at::Tensor& tensor, DType type, at::Device device) {
  return tensor.to(device, scalar_type(type));
}

}  // namespace lowbit
