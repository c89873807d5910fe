#pragma once

#include <cstdint>

// How liblowbit_cuda.so is called and how it answers.
namespace lowbit::kernels::cuda {

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

/// Where and how to launch: a CUDA stream, null for the default one. `dependent` lets the grid start before those that
/// were launched into the stream before it have ended (from sm_90 on); it waits for them before it reads activations.
struct Launch {
  void* stream;
  std::int32_t dependent;
};

}  // namespace lowbit::kernels::cuda
