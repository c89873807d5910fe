#include "cublas.h"

#include <dlfcn.h>

#include "lowbit/base/error.h"

namespace lowbit::gpu_verify {

namespace {

// Of cublas_api.h and library_types.h; their numbers are part of the library's interface.
constexpr int kTranspose = 1;
constexpr int kPlain = 0;
constexpr int kSumFloat32 = 68;
constexpr int kSumInt32 = 72;
constexpr int kDefaultAlgorithm = -1;
enum Type { kTypeFloat16 = 2, kTypeInt8 = 3, kTypeInt32 = 10, kTypeBFloat16 = 14 };

using Create = int (*)(void**);
using Destroy = int (*)(void*);
using SetStream = int (*)(void*, void*);
using Multiply = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int,
                         const void*, void*, int, int, int, int);

void* symbol(void* library, const char* name) {
  void* found = ::dlsym(library, name);
  if (found == nullptr) fail(ErrorCode::kDevice, "the library given with --cublas has no '{}'", name);
  return found;
}

void check(int status, const char* what) {
  if (status != 0) fail(ErrorCode::kDevice, "cuBLAS failed with status {} while {}", status, what);
}

}  // namespace

Cublas::Cublas(const Gpu& gpu, const std::string& path) : library_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (library_ == nullptr) fail(ErrorCode::kDevice, "--cublas: '{}' cannot be loaded ({})", path, ::dlerror());
  multiply_ = symbol(library_, "cublasGemmEx");
  destroy_ = symbol(library_, "cublasDestroy_v2");
  check(reinterpret_cast<Create>(symbol(library_, "cublasCreate_v2"))(&handle_), "starting");
  check(reinterpret_cast<SetStream>(symbol(library_, "cublasSetStream_v2"))(handle_, gpu.stream()), "taking a stream");
}

Cublas::~Cublas() {
  if (handle_ != nullptr) (void)reinterpret_cast<Destroy>(destroy_)(handle_);
}

void Cublas::multiply(RivalKind kind, const void* weight, const void* input, void* output, int rows, int columns,
                      int tokens) const {
  const float one = 1.0F;
  const float zero = 0.0F;
  const std::int32_t whole_one = 1;
  const std::int32_t whole_zero = 0;
  const bool bytes = kind == RivalKind::kInt8;
  const int type = bytes ? kTypeInt8 : kind == RivalKind::kFloat16 ? kTypeFloat16 : kTypeBFloat16;
  // Matrices by columns: the weight lies there as [columns, rows], and is transposed.
  check(reinterpret_cast<Multiply>(multiply_)(
            handle_, kTranspose, kPlain, rows, tokens, columns, bytes ? static_cast<const void*>(&whole_one) : &one,
            weight, type, columns, input, type, columns, bytes ? static_cast<const void*>(&whole_zero) : &zero, output,
            bytes ? static_cast<int>(kTypeInt32) : type, rows, bytes ? kSumInt32 : kSumFloat32, kDefaultAlgorithm),
        "multiplying");
}

}  // namespace lowbit::gpu_verify
