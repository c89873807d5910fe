# What a plugin and lowbit must agree on, as a header of its own: made anew when a public header changes in more than
# its comments.
file(GLOB_RECURSE public_headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/lowbit/*.h")
set(interface_header "${PROJECT_BINARY_DIR}/generated/lowbit/plugin/interface.h")
add_custom_command(OUTPUT "${interface_header}"
  COMMAND "${CMAKE_COMMAND}" "-DINCLUDE=${PROJECT_SOURCE_DIR}/include" "-DVERSION=${PROJECT_VERSION}"
          "-DOUTPUT=${interface_header}" -P "${PROJECT_SOURCE_DIR}/cmake/LowbitInterface.cmake"
  DEPENDS ${public_headers} "${PROJECT_SOURCE_DIR}/cmake/LowbitInterface.cmake"
  COMMENT "Hashing the public headers" VERBATIM)
target_sources(lowbit_plugin PRIVATE "${interface_header}")
target_link_libraries(lowbit_plugin PUBLIC ${CMAKE_DL_LIBS})
