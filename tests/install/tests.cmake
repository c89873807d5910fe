# From an installed tree in a folder of its own: package, program, a consumer and a plugin.
function(lowbit_install_test name)
  add_test(NAME install_${name}
    COMMAND "${PROJECT_SOURCE_DIR}/tests/install/${name}" "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}"
            "${LOWBIT_TORCH_DIR}" "${CMAKE_CXX_COMPILER}" "${PROJECT_BINARY_DIR}/install-test")
  set_tests_properties(install_${name} PROPERTIES LABELS ci ${ARGN})
endfunction()

lowbit_install_test(tree FIXTURES_SETUP installed)
foreach(name IN ITEMS program consumer_test plugin_test)
  lowbit_install_test(${name} FIXTURES_REQUIRED installed)
endforeach()
