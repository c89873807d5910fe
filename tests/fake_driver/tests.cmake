# A library that answers as NVIDIA's driver does, for tests of what is said where the driver lacks something.
add_library(lowbit_fake_driver MODULE "${CMAKE_CURRENT_SOURCE_DIR}/fake_driver/driver.cpp")
target_link_libraries(lowbit_fake_driver PRIVATE lowbit_compiler)
foreach(target lowbit_tensor_test lowbit_efficiency_test)
  add_dependencies(${target} lowbit_fake_driver)
  target_compile_definitions(${target} PRIVATE LOWBIT_FAKE_DRIVER="$<TARGET_FILE:lowbit_fake_driver>")
endforeach()
