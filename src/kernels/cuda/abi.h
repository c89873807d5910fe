#pragma once

#include "kernels/cuda/expand.h"
#include "kernels/cuda/integer.h"
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/skinny.h"

// What liblowbit_cuda.so offers: one C function, which gives a table of functions. It throws nothing, prints nothing,
// and knows nothing of the rest of lowbit, so that it is built with a CUDA toolkit and used without one.
namespace lowbit::kernels::cuda {

/// Raised with every change of this file or of a structure that it names.
inline constexpr std::uint32_t kInterface = 1;

enum class Failure : std::int32_t {
  kNone,
  kNoDriver,    ///< no driver is installed
  kOldDriver,   ///< older than the toolkit that built the library
  kNoDevice,    ///< a driver, and no GPU that it may use
  kCapability,  ///< the GPU is older than sm_80
  kMemory,      ///< `bytes` could not be had
  kArgument,    ///< the call contradicts itself: a mistake of the caller
  kOther,       ///< `code` and `text` say what CUDA said
};

struct Report {
  Failure failure;
  std::int32_t code;     ///< CUDA's number
  std::uint64_t bytes;   ///< asked for, for kMemory
  std::uint64_t free;    ///< of the GPU, for kMemory
  std::int32_t driver;   ///< CUDA version, 13000 for 13.0; 0 when unknown
  std::int32_t runtime;  ///< that the library was built with
  char text[256];
};

struct Device {
  char name[256];
  std::int32_t major;
  std::int32_t minor;
  std::int32_t multiprocessors;
  std::int32_t l2_bytes;
  std::uint64_t bytes;
  std::uint64_t free;
};

enum class HalfKernel : std::int32_t { kSkinny, kTiled };

/// Where and how to launch: a CUDA stream, null for the default one. `dependent` lets the grid start before those that
/// were launched into the stream before it have ended (from sm_90 on); it waits for them before it reads activations.
struct Launch {
  void* stream;
  std::int32_t dependent;
};

/// Every function returns whether it succeeded, and fills the report when not. Those that launch do not wait.
struct Table {
  std::uint32_t interface;
  bool (*count_devices)(std::int32_t* count, Report* report);
  bool (*describe_device)(std::int32_t device, Device* result, Report* report);
  bool (*use_device)(std::int32_t device, Report* report);
  bool (*allocate)(std::uint64_t bytes, void** result, Report* report);
  bool (*release)(void* memory, Report* report);
  bool (*copy_to_device)(void* to, const void* from, std::uint64_t bytes, Report* report);
  bool (*copy_to_host)(void* to, const void* from, std::uint64_t bytes, Report* report);
  bool (*fill)(void* memory, std::int32_t byte, std::uint64_t bytes, void* stream, Report* report);
  bool (*wait)(void* stream, Report* report);
  /// `number` is kFloat16 or kBFloat16, of the input. The tiled kernel has 4 and 8 bits and needs `aligned`.
  bool (*half_product)(HalfKernel kernel, NumberKind number, const HalfProduct* call, const Launch* launch,
                       Report* report);
  bool (*quantize)(std::int32_t planes, const QuantizeCall* call, const Launch* launch, Report* report);
  bool (*integer_product)(std::int32_t planes, const IntegerProduct* call, const Launch* launch, Report* report);
  bool (*expand)(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report);
  bool (*arrange)(const ArrangeCall* call, const Launch* launch, Report* report);
};

inline constexpr const char* kTableSymbol = "lowbit_cuda_table";
using TableFunction = const Table* (*)();

}  // namespace lowbit::kernels::cuda
