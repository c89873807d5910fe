# lowbit_module(<name> [TORCH] [DEPS <modules>...] [LIBS <libraries>...])
#
# One folder src/<name> becomes the object library lowbit_<name>. Sources are found by glob, since hand-kept lists
# lose files. A module sees its own private headers by "<name>/x.h" and everybody's public ones by <lowbit/<name>/x.h>.
set_property(GLOBAL PROPERTY LOWBIT_MODULES "")

# What every source with tensors includes is parsed once for all of them: a source then compiles in less than half the
# time. The presets that check the sources' own includes (dev, tidy) go without.
function(lowbit_precompile_torch target)
  if(NOT TARGET lowbit_torch_headers)
    file(WRITE "${PROJECT_BINARY_DIR}/empty/torch_headers.cpp" "")
    add_library(lowbit_torch_headers OBJECT "${PROJECT_BINARY_DIR}/empty/torch_headers.cpp")
    set_target_properties(lowbit_torch_headers PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    target_link_libraries(lowbit_torch_headers PRIVATE lowbit_compiler lowbit::torch fmt::fmt spdlog::spdlog)
    target_precompile_headers(lowbit_torch_headers PRIVATE <ATen/core/Tensor.h> <fmt/format.h> <algorithm> <filesystem>
      <functional> <map> <memory> <optional> <string> <vector>)
  endif()
  target_precompile_headers(${target} REUSE_FROM lowbit_torch_headers)
endfunction()

function(lowbit_module name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "TORCH" "" "DEPS;LIBS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
  if(NOT sources)
    file(WRITE "${PROJECT_BINARY_DIR}/empty/${name}.cpp" "")
    set(sources "${PROJECT_BINARY_DIR}/empty/${name}.cpp")
  endif()
  add_library(lowbit_${name} OBJECT ${sources})
  target_include_directories(lowbit_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)
  target_compile_definitions(lowbit_${name} PRIVATE LOWBIT_BUILDING)
  set_target_properties(lowbit_${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(lowbit_${name} PUBLIC lowbit_compiler ${ARG_LIBS})
  if(ARG_TORCH)
    target_link_libraries(lowbit_${name} PUBLIC lowbit::torch)
    lowbit_precompile_torch(lowbit_${name})
  endif()

  # Between object libraries a link hands on usage requirements only; the objects themselves are gathered once, where
  # something is linked (lowbit_library, the tests).
  set(closure ${name})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(lowbit_${name} PUBLIC lowbit_${dep})
    get_property(dep_closure GLOBAL PROPERTY LOWBIT_CLOSURE_${dep})
    list(APPEND closure ${dep_closure})
  endforeach()
  list(REMOVE_DUPLICATES closure)
  set_property(GLOBAL PROPERTY LOWBIT_CLOSURE_${name} "${closure}")
  set_property(GLOBAL APPEND PROPERTY LOWBIT_MODULES ${name})
  # What a module's sources need beyond the common rules: flags of single files, further libraries.
  include("${PROJECT_SOURCE_DIR}/src/${name}/module.cmake" OPTIONAL)
endfunction()

# The shared library made of every module.
function(lowbit_library)
  get_property(modules GLOBAL PROPERTY LOWBIT_MODULES)
  add_library(lowbit SHARED)
  add_library(lowbit::lowbit ALIAS lowbit)
  foreach(module IN LISTS modules)
    target_link_libraries(lowbit PRIVATE $<BUILD_INTERFACE:lowbit_${module}>)
  endforeach()
  target_include_directories(lowbit PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_compile_features(lowbit PUBLIC cxx_std_20)
  target_link_libraries(lowbit PUBLIC lowbit::torch fmt::fmt)
  set(map "${PROJECT_SOURCE_DIR}/cmake/lowbit.map")
  target_link_options(lowbit PRIVATE "LINKER:--version-script=${map}")
  # While the major version is 0, minor versions break the interface.
  set_target_properties(lowbit PROPERTIES LINK_DEPENDS "${map}" VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()
