# Language level, optimisation default, warnings and sanitizers, as interface targets.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

find_program(LOWBIT_CCACHE ccache)
if(LOWBIT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Without these ccache refuses sources that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${LOWBIT_CCACHE}")
endif()

add_library(lowbit_compiler INTERFACE)
target_compile_features(lowbit_compiler INTERFACE cxx_std_20)
# Contraction of a*b+c into one rounding would make results depend on the compiler's choices.
target_compile_options(lowbit_compiler INTERFACE -ffp-contract=off)
# Search paths that LD_LIBRARY_PATH cannot overrule: another LibTorch there, of another version, would crash us.
target_link_options(lowbit_compiler INTERFACE "LINKER:--disable-new-dtags")
if(LOWBIT_DEVELOPER)
  target_compile_options(lowbit_compiler INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # GCC 12 sees overlaps in std::string that are not there
endif()
if(LOWBIT_WARNINGS_AS_ERRORS)
  target_compile_options(lowbit_compiler INTERFACE -Werror)
endif()
if(LOWBIT_SANITIZE)
  target_compile_options(lowbit_compiler INTERFACE -fsanitize=${LOWBIT_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(lowbit_compiler INTERFACE -fsanitize=${LOWBIT_SANITIZE})
endif()
