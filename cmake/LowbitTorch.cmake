# lowbit_torch: the CPU part of LibTorch as a plain interface target.
#
# The CMake package inside the wheel insists on a CUDA toolkit, and its include folder carries its own fmt, which
# would shadow the system's. So the target is made here, with the include folders searched last.
if(NOT EXISTS "${LOWBIT_TORCH_DIR}/include/ATen/core/Tensor.h")
  message(FATAL_ERROR
    "LibTorch was not found in '${LOWBIT_TORCH_DIR}'.\n"
    "Run tools/setup, which unpacks the pinned version there, or pass -DLOWBIT_TORCH_DIR=<folder with include/ and lib/>.")
endif()

add_library(lowbit_torch INTERFACE)
target_compile_options(lowbit_torch INTERFACE
  "SHELL:-idirafter ${LOWBIT_TORCH_DIR}/include"
  "SHELL:-idirafter ${LOWBIT_TORCH_DIR}/include/torch/csrc/api/include")
target_link_libraries(lowbit_torch INTERFACE
  "${LOWBIT_TORCH_DIR}/lib/libtorch_cpu.so" "${LOWBIT_TORCH_DIR}/lib/libc10.so")
target_link_options(lowbit_torch INTERFACE
  "LINKER:-rpath,${LOWBIT_TORCH_DIR}/lib" "LINKER:--disable-new-dtags" "LINKER:--allow-shlib-undefined")
