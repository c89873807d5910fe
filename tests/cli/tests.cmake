# The program as users meet it: exit status, the sentence on standard error, and what lies on the disk afterwards.
# Status 77 says that data the test needs is not there; its output says which.
function(lowbit_cli_test name label)
  add_test(NAME cli_${name}
    COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/cli/${name}" "$<TARGET_FILE:lowbit_cli>" "${PROJECT_SOURCE_DIR}" ${ARGN})
  set_tests_properties(cli_${name} PROPERTIES LABELS ${label} SKIP_RETURN_CODE 77)
endfunction()

lowbit_cli_test(arguments unit)
lowbit_cli_test(experiment_mistakes unit)
lowbit_cli_test(damaged_models ci)
lowbit_cli_test(calibration_data ci)
lowbit_cli_test(datasets ci)
lowbit_cli_test(unsuitable_data ci)
lowbit_cli_test(shipped_experiments ci)
lowbit_cli_test(small_run ci)
lowbit_cli_test(packed_run ci)
lowbit_cli_test(full_disk ci)
lowbit_cli_test(interrupted ci)
lowbit_cli_test(kill_campaign long)
lowbit_cli_test(memory_plan long "$<TARGET_FILE:lowbit_make_model>")
