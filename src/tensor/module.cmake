# LibTorch's pool is OpenMP, used through inline code that is serial in a file built without this flag. The runtime is
# LibTorch's own copy, so that one pool serves both; a LibTorch without a copy of its own uses the system's.
set(parallel_flags -fopenmp)
if(CMAKE_CXX_CLANG_TIDY)  # it has no omp.h of its own
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=include
    OUTPUT_VARIABLE compiler_headers OUTPUT_STRIP_TRAILING_WHITESPACE)
  list(APPEND parallel_flags -idirafter "${compiler_headers}")
endif()
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/tensor/parallel.cpp" PROPERTIES
  COMPILE_OPTIONS "${parallel_flags}" SKIP_PRECOMPILE_HEADERS ON)
file(GLOB gomp "${LOWBIT_TORCH_DIR}/lib/libgomp*.so*")
if(gomp)
  list(GET gomp 0 gomp)
  target_link_libraries(lowbit_tensor PUBLIC "${gomp}")
else()
  target_link_libraries(lowbit_tensor PUBLIC gomp)
endif()

# On its own instruction set; the warnings are false alarms of GCC 12's own header and of templates of vectors.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/tensor/panels_avx512.cpp" PROPERTIES
    COMPILE_OPTIONS "-mavx512f;-mfma;$<$<CXX_COMPILER_ID:GNU>:-Wno-ignored-attributes>" SKIP_PRECOMPILE_HEADERS ON)
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/tensor/softmax_columns.cpp" PROPERTIES
    COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized>")
endif()
