#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "lowbit/base/error.h"
#include "lowbit/tensor/ops.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

NoGradScope::NoGradScope() : previous_(at::GradMode::is_enabled()) { at::GradMode::set_enabled(false); }
NoGradScope::~NoGradScope() { at::GradMode::set_enabled(previous_); }

void guard_torch(const std::function<void()>& action) {
  ensure_threads();
  const NoGradScope no_grad;
  try {
    action();
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    const std::string line = first_line(error.what_without_backtrace());
    // The CPU allocator's failure has no class of its own.
    const bool memory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                        line.find("can't allocate memory") != std::string::npos;
    if (memory && line.find("CUDA") != std::string::npos) {
      fail(ErrorCode::kDevice,
           "the GPU is out of memory ({}); smaller 'batch_tokens', 'memory: streamed' or 'device: cpu' take less of it",
           line);
    }
    if (memory) fail(ErrorCode::kDevice, "out of memory: {}", line);
    if (line.starts_with("CUDA error")) {
      fail(ErrorCode::kDevice, "the GPU failed ({}); look at 'nvidia-smi', or use 'device: cpu'", line);
    }
    fail(ErrorCode::kInternal, "LibTorch: {}", line);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kDevice, "out of memory");
  }
}

at::Tensor straight_through(const at::Tensor& forward, const at::Tensor& surrogate) {
  return surrogate.add(forward.sub(surrogate).detach());
}

}  // namespace lowbit
