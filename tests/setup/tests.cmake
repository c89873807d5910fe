# What tools/setup does when the machine fails it.
add_test(NAME setup_full_disk COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/setup/full_disk" "${PROJECT_SOURCE_DIR}")
set_tests_properties(setup_full_disk PROPERTIES LABELS unit SKIP_RETURN_CODE 77)
