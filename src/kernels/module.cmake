# Each instruction set in its own files with its own flags. What they include holds nothing that the linker could take
# for the others' (inline functions of the standard library): see tiles.h.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(folder "${PROJECT_SOURCE_DIR}/src/kernels")
  file(GLOB avx2_sources CONFIGURE_DEPENDS "${folder}/avx2_*.cpp")
  # Partial redundancy elimination moves loads across the tiles' loops, and their sums out of registers. clang-tidy, which
  # reads GCC's command lines, stops at the flag.
  set(tile_flags "$<$<CXX_COMPILER_ID:GNU>:-fno-tree-pre>")
  if(CMAKE_CXX_CLANG_TIDY)
    set(tile_flags "")
  endif()
  set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;${tile_flags}")
  # The warning: GCC 12's own header leaves registers undefined on purpose.
  set(avx512_flags -mavx512f -mavx512bw -mavx512vl -mavx512vnni -mfma -mf16c
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-ignored-attributes> "${tile_flags}")
  set_source_files_properties("${folder}/avx512_kernels.cpp" "${folder}/avx512_probe.cpp" PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
  set_source_files_properties("${folder}/amx_kernels.cpp" "${folder}/amx_probe.cpp" PROPERTIES
    COMPILE_OPTIONS "${avx512_flags};-mamx-tile;-mamx-int8")
  target_compile_definitions(lowbit_kernels PRIVATE LOWBIT_KERNELS_X86)
else()
  file(GLOB x86_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/avx*.cpp"
    "${PROJECT_SOURCE_DIR}/src/kernels/amx_*.cpp")
  set_source_files_properties(${x86_sources} PROPERTIES HEADER_FILE_ONLY ON)  # not compiled
endif()
