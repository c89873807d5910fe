#include <cstdio>

#include "kernels/cuda/abi.h"
#include "kernels/cuda/launch.cuh"

// The table of liblowbit_cuda.so.
namespace lowbit::kernels::cuda {

namespace {

__global__ void __launch_bounds__(kQuantizeThreads) quantize_one_plane(const __grid_constant__ QuantizeCall call) {
  DeviceThread thread;
  Quantize<1>::run(thread, call);
}
__global__ void __launch_bounds__(kQuantizeThreads) quantize_two_planes(const __grid_constant__ QuantizeCall call) {
  DeviceThread thread;
  Quantize<2>::run(thread, call);
}
__global__ void __launch_bounds__(kArrangeThreads) arrange_kernel(const __grid_constant__ ArrangeCall call) {
  DeviceThread thread;
  Arrange::run(thread, call);
}

void start(Report* report) { *report = Report{}; }

bool count_devices(std::int32_t* count, Report* report) {
  start(report);
  *count = 0;
  (void)cudaDriverGetVersion(&report->driver);
  (void)cudaRuntimeGetVersion(&report->runtime);
  const cudaError_t status = cudaGetDeviceCount(count);
  if (succeeded(status, report)) return true;
  if (status == cudaErrorInsufficientDriver || status == cudaErrorStubLibrary) {
    report->failure = report->driver == 0 ? Failure::kNoDriver : Failure::kOldDriver;
  }
  return false;
}

bool describe_device(std::int32_t device, Device* result, Report* report) {
  start(report);
  *result = Device{};
  cudaDeviceProp facts{};
  if (!succeeded(cudaGetDeviceProperties(&facts, device), report)) return false;
  std::snprintf(result->name, sizeof result->name, "%s", facts.name);
  result->major = facts.major;
  result->minor = facts.minor;
  result->multiprocessors = facts.multiProcessorCount;
  result->l2_bytes = facts.l2CacheSize;
  result->bytes = facts.totalGlobalMem;
  if (facts.major < 8) {
    report->failure = Failure::kCapability;
    return false;
  }
  if (!succeeded(cudaSetDevice(device), report)) return false;
  std::size_t free = 0;
  std::size_t total = 0;
  if (!succeeded(cudaMemGetInfo(&free, &total), report)) return false;
  result->free = free;
  return true;
}

bool use_device(std::int32_t device, Report* report) {
  start(report);
  return succeeded(cudaSetDevice(device), report);
}

bool allocate(std::uint64_t bytes, void** result, Report* report) {
  start(report);
  const cudaError_t status = cudaMalloc(result, bytes);
  if (succeeded(status, report)) return true;
  if (status == cudaErrorMemoryAllocation) {
    report->failure = Failure::kMemory;
    report->bytes = bytes;
    std::size_t free = 0;
    std::size_t total = 0;
    if (cudaMemGetInfo(&free, &total) == cudaSuccess) report->free = free;
  }
  return false;
}

bool release(void* memory, Report* report) {
  start(report);
  return succeeded(cudaFree(memory), report);
}

bool copy_to_device(void* to, const void* from, std::uint64_t bytes, Report* report) {
  start(report);
  return succeeded(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), report);
}
bool copy_to_host(void* to, const void* from, std::uint64_t bytes, Report* report) {
  start(report);
  return succeeded(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), report);
}
bool copy_within(void* to, const void* from, std::uint64_t bytes, void* stream, Report* report) {
  start(report);
  return succeeded(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)),
                   report);
}
bool fill(void* memory, std::int32_t byte, std::uint64_t bytes, void* stream, Report* report) {
  start(report);
  return succeeded(cudaMemsetAsync(memory, byte, bytes, static_cast<cudaStream_t>(stream)), report);
}
bool wait(void* stream, Report* report) {
  start(report);
  return succeeded(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), report);
}

bool create_stream(void** stream, Report* report) {
  start(report);
  return succeeded(cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t*>(stream), cudaStreamNonBlocking), report);
}
bool release_stream(void* stream, Report* report) {
  start(report);
  return succeeded(cudaStreamDestroy(static_cast<cudaStream_t>(stream)), report);
}
bool begin_capture(void* stream, Report* report) {
  start(report);
  return succeeded(cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal), report);
}
bool end_capture(void* stream, void** graph, Report* report) {
  start(report);
  cudaGraph_t recorded = nullptr;
  if (!succeeded(cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &recorded), report)) return false;
  const bool made = succeeded(cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t*>(graph), recorded, 0), report);
  return succeeded(cudaGraphDestroy(recorded), report) && made;
}
bool launch_graph(void* graph, void* stream, Report* report) {
  start(report);
  return succeeded(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)), report);
}
bool release_graph(void* graph, Report* report) {
  start(report);
  return succeeded(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)), report);
}
bool create_event(void** event, Report* report) {
  start(report);
  return succeeded(cudaEventCreate(reinterpret_cast<cudaEvent_t*>(event)), report);
}
bool record_event(void* event, void* stream, Report* report) {
  start(report);
  return succeeded(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)), report);
}
bool milliseconds_between(void* first, void* second, float* result, Report* report) {
  start(report);
  return succeeded(cudaEventSynchronize(static_cast<cudaEvent_t>(second)), report) &&
         succeeded(cudaEventElapsedTime(result, static_cast<cudaEvent_t>(first), static_cast<cudaEvent_t>(second)),
                   report);
}
bool release_event(void* event, Report* report) {
  start(report);
  return succeeded(cudaEventDestroy(static_cast<cudaEvent_t>(event)), report);
}

bool half_product(HalfKernel kernel, NumberKind number, const HalfProduct* call, const Launch* launch, Report* report) {
  start(report);
  if (number == NumberKind::kFloat32) return refuse(report, "the input of a 16-bit product is float32");
  if (call->tokens == 0) return true;
  if (call->splits < 1) return refuse(report, "a product has no splits");
  if (call->splits > 1 && (call->partials == nullptr || call->arrivals == nullptr)) {
    return refuse(report, "a product in splits has no memory for their sums");
  }
  if (kernel == HalfKernel::kTiled) {
    if (call->splits != 1 || !call->aligned)
      return refuse(report, "the tiled kernel takes aligned input and one split");
    if (call->weight.bits == 4) return launch_tiled<4>(number, *call, *launch, report);
    if (call->weight.bits == 8) return launch_tiled<8>(number, *call, *launch, report);
    return refuse(report, "the tiled kernel takes 4 and 8 bits");
  }
  switch (call->weight.bits) {
    case 2: return launch_skinny<2>(number, *call, *launch, report);
    case 3: return launch_skinny<3>(number, *call, *launch, report);
    case 4: return launch_skinny<4>(number, *call, *launch, report);
    case 8: return launch_skinny<8>(number, *call, *launch, report);
    default: return refuse(report, "weights have 2, 3, 4 or 8 bits");
  }
}

bool quantize(std::int32_t planes, const QuantizeCall* call, const Launch* launch, Report* report) {
  start(report);
  if (planes != 1 && planes != 2) return refuse(report, "activations have one plane or two");
  if (call->tokens == 0) return true;
  const Shape shape = {dim3(static_cast<unsigned>(call->tokens)), kQuantizeThreads,
                       Quantize<1>::kSharedWords * sizeof(std::uint32_t)};
  return launch_kernel(planes == 1 ? quantize_one_plane : quantize_two_planes, shape, *call, *launch, report);
}

bool integer_product(std::int32_t planes, const IntegerProduct* call, const Launch* launch, Report* report) {
  start(report);
  if (planes != 1 && planes != 2) return refuse(report, "activations have one plane or two");
  if (call->tokens == 0) return true;
  switch (call->weight.bits) {
    case 2: return launch_integer<2>(planes, *call, *launch, report);
    case 3: return launch_integer<3>(planes, *call, *launch, report);
    case 4: return launch_integer<4>(planes, *call, *launch, report);
    case 8: return launch_integer<8>(planes, *call, *launch, report);
    default: return refuse(report, "weights have 2, 3, 4 or 8 bits");
  }
}

bool expand(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report) {
  start(report);
  if (number == NumberKind::kFloat32) return refuse(report, "weights are expanded to 16 bits");
  switch (call->weight.bits) {
    case 2: return launch_expand<2>(number, *call, *launch, report);
    case 3: return launch_expand<3>(number, *call, *launch, report);
    case 4: return launch_expand<4>(number, *call, *launch, report);
    case 8: return launch_expand<8>(number, *call, *launch, report);
    default: return refuse(report, "weights have 2, 3, 4 or 8 bits");
  }
}

bool arrange(const ArrangeCall* call, const Launch* launch, Report* report) {
  start(report);
  if (call->tokens == 0) return true;
  return launch_kernel(arrange_kernel, {dim3(static_cast<unsigned>(call->tokens)), kArrangeThreads, 0}, *call, *launch,
                       report);
}

}  // namespace

}  // namespace lowbit::kernels::cuda

extern "C" __attribute__((visibility("default"))) const lowbit::kernels::cuda::Table* lowbit_cuda_table() {
  using namespace lowbit::kernels::cuda;
  static const Table kTable = {kInterface,    count_devices, describe_device,      use_device,
                               allocate,      release,       copy_to_device,       copy_to_host,
                               fill,          wait,          create_stream,        release_stream,
                               begin_capture, end_capture,   launch_graph,         release_graph,
                               create_event,  record_event,  milliseconds_between, release_event,
                               half_product,  quantize,      integer_product,      expand,
                               arrange};
  return &kTable;
}
