# cmake --install: bin/lowbit, lib/liblowbit.so, the public headers, the CMake package and share/lowbit. The tree can be
# moved: everything in it finds everything else by relative paths.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

option(LOWBIT_INSTALL_TORCH "Install LibTorch's libraries too, so that the tree needs nothing of this machine's" OFF)

# Where bin/lowbit and liblowbit.so look for LibTorch when they run: a copy in the tree, else the folder it was built with.
set(torch_place "${CMAKE_INSTALL_LIBDIR}/lowbit/torch/lib")
if(LOWBIT_INSTALL_TORCH)
  file(GLOB torch_files "${LOWBIT_TORCH_DIR}/lib/libgomp*.so*")
  install(FILES "${LOWBIT_TORCH_DIR}/lib/libtorch_cpu.so" "${LOWBIT_TORCH_DIR}/lib/libc10.so" ${torch_files}
    DESTINATION "${torch_place}")
  # LibTorch's own search path leads to these, beside its folder.
  file(GLOB cuda_files "${LOWBIT_TORCH_DIR}/../nvidia/*/lib/libcudart.so*" "${LOWBIT_TORCH_DIR}/../nvidia/*/lib/libcupti.so*")
  foreach(file IN LISTS cuda_files)
    file(RELATIVE_PATH place "${LOWBIT_TORCH_DIR}/.." "${file}")
    get_filename_component(place "${place}" DIRECTORY)
    install(FILES "${file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}/lowbit/${place}")
  endforeach()
  file(GLOB licences "${LOWBIT_TORCH_DIR}/../*.dist-info/licenses")
  foreach(folder IN LISTS licences)
    get_filename_component(package "${folder}" DIRECTORY)
    get_filename_component(package "${package}" NAME_WLE)
    install(DIRECTORY "${folder}/" DESTINATION "${CMAKE_INSTALL_DATADIR}/lowbit/licences/${package}")
  endforeach()
  set(torch_path "")
else()
  set(torch_path "${LOWBIT_TORCH_DIR}/lib")
endif()
file(RELATIVE_PATH bin_to_lib "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
set_target_properties(lowbit_cli PROPERTIES
  EXPORT_NAME program
  INSTALL_RPATH "$ORIGIN/${bin_to_lib};$ORIGIN/${bin_to_lib}/lowbit/torch/lib;${torch_path}")
set_target_properties(lowbit PROPERTIES INSTALL_RPATH "$ORIGIN;$ORIGIN/lowbit/torch/lib;${torch_path}")

install(TARGETS lowbit lowbit_cli EXPORT lowbitTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(TARGET lowbit_arrow)  # likewise loaded by name
  set(arrow_place "${CMAKE_INSTALL_LIBDIR}/lowbit/arrow/lib")
  set(arrow_path "${LOWBIT_ARROW_DIR}/lib")
  if(LOWBIT_INSTALL_TORCH)
    install(FILES "${parquet_library}" "${arrow_library}" DESTINATION "${arrow_place}")
    file(GLOB licences "${LOWBIT_ARROW_DIR}/licenses/*")
    install(FILES ${licences} DESTINATION "${CMAKE_INSTALL_DATADIR}/lowbit/licences/arrow")
    set(arrow_path "")
  endif()
  set_target_properties(lowbit_arrow PROPERTIES INSTALL_RPATH "$ORIGIN/lowbit/arrow/lib;${arrow_path}")
  install(TARGETS lowbit_arrow LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
if(TARGET lowbit_cuda)
  install(TARGETS lowbit_cuda LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")  # loaded by name, so not exported
endif()
# json.h is for our own sources: its users would need nlohmann-json.
install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h"
  PATTERN base/json.h EXCLUDE)
install(FILES "${PROJECT_BINARY_DIR}/generated/lowbit/plugin/interface.h"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/lowbit/plugin")
install(DIRECTORY datasets configs templates DESTINATION "${CMAKE_INSTALL_DATADIR}/lowbit")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/lowbit")

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/lowbit")
install(EXPORT lowbitTargets NAMESPACE lowbit:: DESTINATION "${package}")
configure_package_config_file(cmake/lowbitConfig.cmake.in "${PROJECT_BINARY_DIR}/generated/lowbitConfig.cmake"
  INSTALL_DESTINATION "${package}")
# While the major version is 0, minor versions break the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/generated/lowbitConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/generated/lowbitConfig.cmake"
  "${PROJECT_BINARY_DIR}/generated/lowbitConfigVersion.cmake" cmake/LowbitTorch.cmake DESTINATION "${package}")
