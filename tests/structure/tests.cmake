# Rules about the tree itself: which module may include which, what stays out of the sources, how long a file may be.
get_property(modules GLOBAL PROPERTY LOWBIT_MODULES)
set(module_list "${PROJECT_BINARY_DIR}/generated/modules.txt")
set(module_lines "")
foreach(module IN LISTS modules)
  get_property(closure GLOBAL PROPERTY LOWBIT_CLOSURE_${module})
  get_target_property(libraries lowbit_${module} LINK_LIBRARIES)
  set(torch "no-torch")
  if("lowbit::torch" IN_LIST libraries)
    set(torch "torch")
  endif()
  list(JOIN closure " " closure)
  string(APPEND module_lines "${module} ${torch} ${closure}\n")
endforeach()
file(GENERATE OUTPUT "${module_list}" CONTENT "${module_lines}")

add_test(NAME structure_tree
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/structure/check_tree" "${PROJECT_SOURCE_DIR}" "${module_list}")
add_test(NAME structure_rules_fail_when_broken
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/structure/self_test" "${CMAKE_CXX_COMPILER}")
set_tests_properties(structure_tree structure_rules_fail_when_broken PROPERTIES LABELS unit)

add_test(NAME structure_headers_compile_alone
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/structure/check_headers"
          "${PROJECT_SOURCE_DIR}" "${module_list}" "${LOWBIT_TORCH_DIR}" "${CMAKE_CXX_COMPILER}"
          "${PROJECT_BINARY_DIR}/generated")
set_tests_properties(structure_headers_compile_alone PROPERTIES LABELS ci)
