#include <cstdio>

#include "kernels/cuda/attention_launch.cuh"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/expand_launch.cuh"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/solve_columns_launch.cuh"
#include "kernels/cuda/step_launch.cuh"
#include "kernels/cuda/widths.cuh"

// The table of liblowbit_cuda.so.
namespace lowbit::kernels::cuda {

bool DeviceWidths::quantize(int planes, const QuantizeCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return planes == 1 ? dispatch_quantize<1>(call, launcher) : dispatch_quantize<2>(call, launcher);
}

bool DeviceWidths::round_float8(const RoundFloat8Call& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return dispatch_round_float8(call, launcher);
}

bool DeviceWidths::arrange(const ArrangeCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return dispatch_arrange(call, launcher);
}

namespace {

struct Widths : DeviceWidths {
  static bool hopper(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
    return hopper_product(number, call, launch, report);
  }
  static bool hopper_sliced(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
    return hopper_sliced_product(number, call, launch, report);
  }
  static bool hopper_rounded(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
    return hopper_rounded_product(number, call, launch, report);
  }
  static bool hopper_rounded_turns(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
    return hopper_rounded_turns_product(number, call, launch, report);
  }
  static bool hopper_bytes(ByteKernel kernel, const IntegerProduct& call, const Launch& launch, Report* report) {
    return hopper_bytes_product(kernel, call, launch, report);
  }
  static bool hopper_float8(const Float8Product& call, const Launch& launch, Report* report) {
    return hopper_float8_product(call, launch, report);
  }
  static bool arrange_operands(const OperandCall& call, const Launch& launch, Report* report) {
    return cuda::arrange_operands(call, launch, report);
  }
};

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
  // From pageable memory the call returns while the last part is still on its way, and streams of ours do not wait for
  // the one that it goes by.
  return succeeded(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), report) &&
         succeeded(cudaStreamSynchronize(cudaStreamLegacy), report);
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

}  // namespace

}  // namespace lowbit::kernels::cuda

extern "C" __attribute__((visibility("default"))) const lowbit::kernels::cuda::Table* lowbit_cuda_table() {
  using namespace lowbit::kernels::cuda;
  using Functions = Checked<Widths>;
  static const Table kTable = {kInterface,
                               count_devices,
                               describe_device,
                               use_device,
                               allocate,
                               release,
                               copy_to_device,
                               copy_to_host,
                               copy_within,
                               fill,
                               wait,
                               create_stream,
                               release_stream,
                               begin_capture,
                               end_capture,
                               launch_graph,
                               release_graph,
                               create_event,
                               record_event,
                               milliseconds_between,
                               release_event,
                               Functions::half_product,
                               Functions::quantize,
                               Functions::integer_product,
                               Functions::expand,
                               Functions::arrange,
                               round_tokens,
                               attend,
                               Functions::arrange_operands,
                               expand_codes,
                               finish_bytes,
                               expand_table,
                               count_clusters,
                               norm_rows,
                               gate_rows,
                               attend_cached,
                               multiply_together,
                               multiply_gated,
                               Functions::hopper_bytes,
                               Functions::integer_tiles,
                               multiply_integers_together,
                               Functions::round_float8,
                               Functions::hopper_float8,
                               solve_columns};
  return &kTable;
}
