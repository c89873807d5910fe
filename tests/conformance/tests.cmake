# What holds for every registered module, whoever wrote it: the tests ask the registry and name none.
add_executable(lowbit_conformance_test "${CMAKE_CURRENT_SOURCE_DIR}/conformance/solvers_test.cpp")
get_property(closure GLOBAL PROPERTY LOWBIT_CLOSURE_quantization)
foreach(part IN LISTS closure)
  target_link_libraries(lowbit_conformance_test PRIVATE lowbit_${part})
endforeach()
target_link_libraries(lowbit_conformance_test PRIVATE lowbit_test_support GTest::gmock GTest::gtest_main)
add_test(NAME lowbit_conformance_test COMMAND lowbit_conformance_test)
set_tests_properties(lowbit_conformance_test PROPERTIES LABELS unit)
