# lowbit_add_torch(<folder>): the CPU part of LibTorch as the target lowbit::torch, made from the folder that holds its
# include/ and lib/. Sets LOWBIT_TORCH_VERSION and LOWBIT_TORCH_CXX11_ABI in the caller's scope.
#
# The CMake package inside the wheel insists on a CUDA toolkit, and its include folder carries its own fmt, which
# would shadow the system's. So the targets are made here, with the include folders searched last. This file is
# installed too: whoever uses lowbit makes the same target from a LibTorch of his own.

# lowbit_read_torch(<folder> <version variable> <ABI variable>)
function(lowbit_read_torch folder version abi)
  set(found "")
  foreach(header IN ITEMS include/torch/headeronly/version.h include/torch/csrc/api/include/torch/version.h)
    if(EXISTS "${folder}/${header}" AND found STREQUAL "")
      file(STRINGS "${folder}/${header}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH)")
      string(REGEX MATCHALL "[0-9]+" found "${lines}")
      list(JOIN found "." found)
    endif()
  endforeach()
  set(${version} "${found}" PARENT_SCOPE)
  file(STRINGS "${folder}/lib/libc10.so" strings REGEX "^_ZN3c105ErrorC.*__cxx11" LIMIT_COUNT 1)
  if(strings)
    set(${abi} 1 PARENT_SCOPE)
  else()
    set(${abi} 0 PARENT_SCOPE)
  endif()
endfunction()

function(lowbit_add_torch folder)
  if(NOT EXISTS "${folder}/include/ATen/core/Tensor.h" OR NOT EXISTS "${folder}/lib/libtorch_cpu.so"
     OR NOT EXISTS "${folder}/lib/libc10.so")
    message(FATAL_ERROR
      "LibTorch was not found in '${folder}': it lacks include/ATen/core/Tensor.h, lib/libtorch_cpu.so or "
      "lib/libc10.so.\n${LOWBIT_TORCH_REMEDY}")
  endif()
  lowbit_read_torch("${folder}" version abi)
  if(version STREQUAL "")
    message(FATAL_ERROR "The LibTorch in '${folder}' does not say its version.\n${LOWBIT_TORCH_REMEDY}")
  endif()
  if(NOT abi)
    message(FATAL_ERROR
      "The LibTorch in '${folder}' was built with the old C++ ABI (_GLIBCXX_USE_CXX11_ABI=0), which no part of lowbit "
      "supports.\n${LOWBIT_TORCH_REMEDY}")
  endif()
  foreach(part IN ITEMS torch_cpu c10)
    add_library(lowbit::${part} SHARED IMPORTED GLOBAL)
    set_target_properties(lowbit::${part} PROPERTIES IMPORTED_LOCATION "${folder}/lib/lib${part}.so")
  endforeach()
  add_library(lowbit::torch INTERFACE IMPORTED GLOBAL)
  target_compile_options(lowbit::torch INTERFACE
    "SHELL:-idirafter \"${folder}/include\""
    "SHELL:-idirafter \"${folder}/include/torch/csrc/api/include\"")
  target_link_libraries(lowbit::torch INTERFACE lowbit::torch_cpu lowbit::c10)
  # Its own dependencies are found by its own search path when it is loaded, not when something is linked to it.
  target_link_options(lowbit::torch INTERFACE "LINKER:--allow-shlib-undefined")
  set(LOWBIT_TORCH_VERSION "${version}" PARENT_SCOPE)
  set(LOWBIT_TORCH_CXX11_ABI "${abi}" PARENT_SCOPE)
endfunction()
