# Each instruction set in its own files with its own flags. What they include holds nothing that the linker could take
# for the others' (inline functions of the standard library): see tiles.h.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB avx2_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/avx2_*.cpp")
  # Partial redundancy elimination moves loads across the tiles' loops, and their sums out of registers.
  set(tile_flags "$<$<CXX_COMPILER_ID:GNU>:-fno-tree-pre>")
  set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;${tile_flags}")
  target_compile_definitions(lowbit_kernels PRIVATE LOWBIT_KERNELS_AVX2)
endif()
