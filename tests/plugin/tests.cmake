# The sample plugin against the program: what it adds, and every reason to refuse a file.
add_library(lowbit_sample_plugin MODULE "${CMAKE_CURRENT_LIST_DIR}/fixtures/sample.cpp")
target_link_libraries(lowbit_sample_plugin PRIVATE lowbit lowbit_compiler)
# The header of the interface's hash lies in the build folder, and is made by the module's build.
target_include_directories(lowbit_sample_plugin PRIVATE "${PROJECT_BINARY_DIR}/generated")
add_dependencies(lowbit_sample_plugin lowbit_plugin)
set_target_properties(lowbit_sample_plugin PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

function(lowbit_plugin_program_test name label)
  add_test(NAME plugin_${name}
    COMMAND "${PROJECT_SOURCE_DIR}/tests/plugin/${name}" "$<TARGET_FILE:lowbit_cli>" "${PROJECT_SOURCE_DIR}"
            "$<TARGET_FILE:lowbit_sample_plugin>")
  set_tests_properties(plugin_${name} PROPERTIES LABELS ${label})
endfunction()
lowbit_plugin_program_test(refusals ci)
lowbit_plugin_program_test(modules ci)
