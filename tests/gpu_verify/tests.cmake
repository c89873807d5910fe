# What lowbit_gpu_verify says on a machine without a GPU, and that it does nothing then.
add_test(NAME gpu_verify_program
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/gpu_verify/program" "${PROJECT_BINARY_DIR}/gpu_verify")
set_tests_properties(gpu_verify_program PROPERTIES LABELS unit)

# Its stages, whole, on the model of a GPU.
add_library(lowbit_emulated_cuda SHARED "${CMAKE_CURRENT_SOURCE_DIR}/gpu_verify/emulated_library.cpp")
target_include_directories(lowbit_emulated_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/src"
  "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(lowbit_emulated_cuda PRIVATE lowbit_compiler fmt::fmt)
# Dozens of kernels are instantiated here, each to run for a moment.
target_compile_options(lowbit_emulated_cuda PRIVATE -O1)
foreach(name cublas cublasLt)
  add_library(lowbit_fake_${name} MODULE "${CMAKE_CURRENT_SOURCE_DIR}/gpu_verify/fake_cublas.cpp")
  target_link_libraries(lowbit_fake_${name} PRIVATE lowbit_compiler)
  set_target_properties(lowbit_fake_${name} PROPERTIES OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fake_cublas")
endforeach()
add_test(NAME gpu_verify_stages COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/gpu_verify/stages"
  "${PROJECT_BINARY_DIR}/gpu_verify/lowbit_gpu_verify" "$<TARGET_FILE:lowbit_emulated_cuda>"
  "$<TARGET_FILE:lowbit_fake_cublas>")
set_tests_properties(gpu_verify_stages PROPERTIES LABELS ci)
