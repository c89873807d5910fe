# liblowbit_cuda.so, for those who have a CUDA compiler. It needs nothing of a machine but a driver: the runtime is inside.
# sm_80 serves all of 8.x, sm_90a is Hopper, and from the PTX for 9.0 the driver compiles for later GPUs.
if(NOT LOWBIT_CUDA)
  message(STATUS "CUDA kernels: left out, since LOWBIT_CUDA is OFF")
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA kernels: left out, since no CUDA compiler was found; name one by -DCMAKE_CUDA_COMPILER=<nvcc>")
  return()
endif()
set(CMAKE_CUDA_ARCHITECTURES "80-real;90a-real;90-virtual" CACHE STRING "What the CUDA kernels are compiled for")
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.4)
  message(STATUS "CUDA kernels: left out, since CUDA ${CMAKE_CUDA_COMPILER_VERSION} is older than 12.4")
  return()
endif()
if(LOWBIT_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${LOWBIT_CCACHE}")
endif()
file(GLOB cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/cuda/*.cu")
add_library(lowbit_cuda SHARED ${cuda_sources})
set_target_properties(lowbit_cuda PROPERTIES CUDA_EXTENSIONS ON CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)
target_include_directories(lowbit_cuda PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
# Contraction would make results depend on the compiler; kernels name every fused operation themselves.
# The language level as an option: CMake 3.25 does not know that this compiler has it.
target_compile_options(lowbit_cuda PRIVATE -std=c++20 -fmad=false -lineinfo)
# Whether code for Hopper's own instructions is there, which PTX for 9.0 does not have.
file(GLOB hopper_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/cuda/hopper*.cu")
set_source_files_properties(${hopper_sources} PROPERTIES
  COMPILE_DEFINITIONS "LOWBIT_SM_90A=$<IN_LIST:90a-real,${CMAKE_CUDA_ARCHITECTURES}>")
# Solvers launch a kernel of it where there is one.
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/tensor/column_kernel.cpp" PROPERTIES
  COMPILE_DEFINITIONS LOWBIT_HAS_CUDA_KERNELS)
target_link_options(lowbit_cuda PRIVATE "LINKER:--exclude-libs,ALL")
message(STATUS "CUDA kernels: nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
