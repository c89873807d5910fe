# Models, methods and evaluations on a device that is not the CPU: a stand-in (stand_in.h).
file(GLOB other_device_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/other_device/*.cpp")
add_executable(lowbit_other_device_test ${other_device_sources})
get_property(closure GLOBAL PROPERTY LOWBIT_CLOSURE_experiment)
foreach(part IN LISTS closure)
  target_link_libraries(lowbit_other_device_test PRIVATE lowbit_${part})
endforeach()
target_link_libraries(lowbit_other_device_test PRIVATE lowbit_test_support GTest::gmock GTest::gtest_main)
# The kernels for GPUs, on the tests' model of one (gpu_verify/tests.cmake).
add_dependencies(lowbit_other_device_test lowbit_emulated_cuda)
target_compile_definitions(lowbit_other_device_test PRIVATE LOWBIT_EMULATED_CUDA="$<TARGET_FILE:lowbit_emulated_cuda>")
add_test(NAME lowbit_other_device_test COMMAND lowbit_other_device_test)
set_tests_properties(lowbit_other_device_test PROPERTIES LABELS unit)
