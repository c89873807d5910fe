// Stands for cuBLAS and cuBLASLt where the program that times them runs on the tests' model of a GPU: every function
// succeeds, and a product leaves the number of its tokens.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

struct Layout {
  int type;
  std::uint64_t rows;
  std::uint64_t columns;
};

int anything(void** result) {
  static int object = 0;
  *result = &object;
  return 0;
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] int cublasCreate_v2(void** handle) { return anything(handle); }
[[gnu::visibility("default")]] int cublasDestroy_v2(void*) { return 0; }
[[gnu::visibility("default")]] int cublasSetStream_v2(void*, void*) { return 0; }
[[gnu::visibility("default")]] int cublasGemmEx(void*, int, int, int rows, int tokens, int columns, const void*,
                                                const void*, int, int, const void*, int, int, const void*, void* output,
                                                int, int stride, int, int) {
  if (stride != rows || columns < 1) return 7;  // "invalid value"
  std::memcpy(output, &tokens, 2);
  return 0;
}

[[gnu::visibility("default")]] int cublasLtCreate(void** handle) { return anything(handle); }
[[gnu::visibility("default")]] int cublasLtDestroy(void*) { return 0; }
[[gnu::visibility("default")]] int cublasLtMatmulDescCreate(void** product, int, int) { return anything(product); }
[[gnu::visibility("default")]] int cublasLtMatmulDescSetAttribute(void*, int attribute, const void*,
                                                                  std::size_t bytes) {
  const bool scales = attribute == 17 || attribute == 18;  // pointers; 31 and 32 say how many there are
  const bool numbers = attribute == 3 || attribute == 31 || attribute == 32;
  return (scales && bytes == 8) || (numbers && bytes == 4) ? 0 : 7;
}
[[gnu::visibility("default")]] int cublasLtMatmulDescDestroy(void*) { return 0; }
[[gnu::visibility("default")]] int cublasLtMatrixLayoutCreate(void** layout, int type, std::uint64_t rows,
                                                              std::uint64_t columns, std::int64_t stride) {
  *layout = new Layout{type, rows, columns};
  return static_cast<std::uint64_t>(stride) == rows ? 0 : 7;
}
[[gnu::visibility("default")]] int cublasLtMatrixLayoutDestroy(void* layout) {
  delete static_cast<Layout*>(layout);
  return 0;
}
[[gnu::visibility("default")]] int cublasLtMatmulPreferenceCreate(void** preference) { return anything(preference); }
[[gnu::visibility("default")]] int cublasLtMatmulPreferenceSetAttribute(void*, int attribute, const void*,
                                                                        std::size_t bytes) {
  return attribute == 1 && bytes == 8 ? 0 : 7;
}
[[gnu::visibility("default")]] int cublasLtMatmulPreferenceDestroy(void*) { return 0; }
// Two for bytes, none for FP8 with fewer than 16 tokens.
[[gnu::visibility("default")]] int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void* input, void*, void*, void*,
                                                                  int, void*, int* count) {
  const auto* layout = static_cast<Layout*>(input);
  *count = layout->type == 28 && layout->columns < 16 ? 0 : 2;
  return *count == 0 ? 15 : 0;  // "not supported"
}
[[gnu::visibility("default")]] int cublasLtMatmul(void*, void*, const void*, const void*, void*, const void*,
                                                  void* input, const void*, const void*, void*, void* output, void*,
                                                  const void*, void*, std::size_t, void*) {
  std::memcpy(output, &static_cast<Layout*>(input)->columns, 2);
  return 0;
}
}
