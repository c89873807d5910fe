# Each instruction set in its own files with its own flags. What they include holds nothing that the linker could take
# for the others' (inline functions of the standard library): see tiles.h.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB avx2_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/avx2_*.cpp")
  set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
  target_compile_definitions(lowbit_kernels PRIVATE LOWBIT_KERNELS_AVX2)
endif()
