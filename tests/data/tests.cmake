if(TARGET lowbit_arrow)
  add_dependencies(lowbit_data_test lowbit_arrow)
  target_compile_definitions(lowbit_data_test PRIVATE LOWBIT_HAS_ARROW)
endif()
