# Models, methods and evaluations on a device that is not the CPU: a stand-in (stand_in.h).
# Packed products ask a device's streams for their handles, which LibTorch offers since one of the versions after 2.8.
set(device_interface "${LOWBIT_TORCH_DIR}/include/c10/core/impl/DeviceGuardImplInterface.h")
file(STRINGS "${device_interface}" stream_handles REGEX getStreamNativeHandle)
if(NOT stream_handles)
  message(STATUS "lowbit_other_device_test is left out: LibTorch ${LOWBIT_TORCH_VERSION} does not say what its streams are")
  return()
endif()
file(GLOB other_device_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/other_device/*.cpp")
list(FILTER other_device_sources EXCLUDE REGEX "counting_cuda\\.cpp$")
add_executable(lowbit_other_device_test ${other_device_sources})
get_property(closure GLOBAL PROPERTY LOWBIT_CLOSURE_experiment)
foreach(part IN LISTS closure)
  target_link_libraries(lowbit_other_device_test PRIVATE lowbit_${part})
endforeach()
target_link_libraries(lowbit_other_device_test PRIVATE lowbit_test_support GTest::gmock GTest::gtest_main)
# The kernels for GPUs, on the tests' model of one (gpu_verify/tests.cmake), and again with its graphs counted.
add_library(lowbit_counting_cuda SHARED "${CMAKE_CURRENT_SOURCE_DIR}/other_device/counting_cuda.cpp")
target_include_directories(lowbit_counting_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/src"
  "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(lowbit_counting_cuda PRIVATE lowbit_compiler ${CMAKE_DL_LIBS})
target_compile_definitions(lowbit_counting_cuda PRIVATE LOWBIT_EMULATED_CUDA="$<TARGET_FILE:lowbit_emulated_cuda>")
add_dependencies(lowbit_counting_cuda lowbit_emulated_cuda)
add_dependencies(lowbit_other_device_test lowbit_emulated_cuda lowbit_counting_cuda)
target_compile_definitions(lowbit_other_device_test PRIVATE LOWBIT_EMULATED_CUDA="$<TARGET_FILE:lowbit_emulated_cuda>"
  LOWBIT_COUNTING_CUDA="$<TARGET_FILE:lowbit_counting_cuda>")
# Whole models on the tests' model of a GPU, thread by thread, take a minute of a processor.
set(whole_models "Step*:DecodeBench*:*.RunsAWholeModel:*.IsTimedBesideLibTorch:*.KeepsTheBitsOfIntegersWhereALibraryMultiplies")
add_test(NAME lowbit_other_device_test COMMAND lowbit_other_device_test "--gtest_filter=-${whole_models}")
set_tests_properties(lowbit_other_device_test PROPERTIES LABELS unit)
add_test(NAME lowbit_other_device_ci_test COMMAND lowbit_other_device_test "--gtest_filter=${whole_models}")
set_tests_properties(lowbit_other_device_ci_test PROPERTIES LABELS ci)
