# What lowbit_gpu_verify says on a machine without a GPU, and that it does nothing then.
add_test(NAME gpu_verify_program
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/gpu_verify/program" "${PROJECT_BINARY_DIR}/gpu_verify")
set_tests_properties(gpu_verify_program PROPERTIES LABELS unit)
