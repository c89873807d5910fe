# What knows Arrow is a library of its own (cmake/LowbitArrow.cmake).
get_target_property(data_sources lowbit_data SOURCES)
list(FILTER data_sources EXCLUDE REGEX "/src/data/arrow/")
set_target_properties(lowbit_data PROPERTIES SOURCES "${data_sources}")
target_link_libraries(lowbit_data PUBLIC ${CMAKE_DL_LIBS})
