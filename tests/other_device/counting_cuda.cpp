#include "other_device/counting_cuda.h"

#include <dlfcn.h>

#include "kernels/cuda/abi.h"

// The tests' model of a GPU (gpu_verify/emulated_library.cpp), with what is recorded and replayed counted.
namespace lowbit::testing {
namespace {

namespace cuda = kernels::cuda;

CudaCounts& counts() {
  static CudaCounts instance;
  return instance;
}

const cuda::Table& model() {
  static const cuda::Table* table = [] {
    void* library = ::dlopen(LOWBIT_EMULATED_CUDA, RTLD_NOW | RTLD_LOCAL);
    return reinterpret_cast<cuda::TableFunction>(::dlsym(library, cuda::kTableSymbol))();
  }();
  return *table;
}

const cuda::Table& counting() {
  static const cuda::Table table = [] {
    cuda::Table result = model();
    result.begin_capture = [](void* stream, cuda::Report* report) {
      ++counts().recorded;
      return model().begin_capture(stream, report);
    };
    result.launch_graph = [](void* graph, void* stream, cuda::Report* report) {
      ++counts().replayed;
      return model().launch_graph(graph, stream, report);
    };
    result.gate_rows = [](const cuda::GateCall* call, const cuda::Launch* launch, cuda::Report* report) {
      return counts().gates_nothing || model().gate_rows(call, launch, report);
    };
    result.multiply_gated = [](const cuda::GatedCall* call, const cuda::Launch* launch, cuda::Report* report) {
      return counts().gates_nothing || model().multiply_gated(call, launch, report);
    };
    return result;
  }();
  return table;
}

}  // namespace
}  // namespace lowbit::testing

extern "C" {
__attribute__((visibility("default"))) const lowbit::kernels::cuda::Table* lowbit_cuda_table() {
  return &lowbit::testing::counting();
}
__attribute__((visibility("default"))) lowbit::testing::CudaCounts* lowbit_cuda_counts() {
  return &lowbit::testing::counts();
}
}
