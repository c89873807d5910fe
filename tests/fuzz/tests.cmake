# Fuzz targets: tests/fuzz/<reader>_fuzz.cpp, one for each reader of foreign files. They are built with sanitizers of their
# own and without LibTorch, so the sources of the readers are compiled a second time here.
#
# By default our own driver runs the seeds and a fixed number of changes of them, in seconds (label ci). With
# -DLOWBIT_FUZZ=ON, which needs clang, libFuzzer drives the same targets; CONTRIBUTING.md has the commands.
option(LOWBIT_FUZZ "Build the fuzz targets for libFuzzer instead of as tests (needs clang)" OFF)

if(LOWBIT_FUZZ)
  set(fuzz_driver libfuzzer.cpp)
  set(fuzz_checks address,undefined,float-cast-overflow)
else()
  # Without the checks of every pointer, which double the time to compile and find little that 'address' does not.
  set(fuzz_driver driver.cpp mutator.cpp)
  set(fuzz_checks address,signed-integer-overflow,shift,bounds,float-cast-overflow,integer-divide-by-zero,enum,bool)
  string(APPEND fuzz_checks ,unreachable,return,vla-bound,nonnull-attribute,returns-nonnull-attribute)
endif()
set(fuzz_sanitizers -fsanitize=${fuzz_checks} -fno-sanitize=vptr -fno-sanitize-recover=all)
list(TRANSFORM fuzz_driver PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/")

set(fuzz_patterns base/*.cpp config/*.cpp containers/*.cpp text/*.cpp text/chat/*.cpp data/*.cpp data/templates/*.cpp
  calibration/options.cpp
  model/architecture*.cpp model/config_keys.cpp model/rope_config.cpp model/rope_frequencies.cpp
  model/rope_recovery.cpp model/rotation_config.cpp tensor/rotation_spec.cpp tensor/hadamard.cpp
  model/compressed_tensors.cpp model/code_layout.cpp formats/ggml_blocks.cpp formats/ggml_superblocks.cpp
  experiment/sweep.cpp experiment/result_json.cpp)
list(TRANSFORM fuzz_patterns PREPEND "${PROJECT_SOURCE_DIR}/src/")
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${fuzz_patterns})

add_library(lowbit_fuzz_readers OBJECT EXCLUDE_FROM_ALL ${fuzz_sources} ${fuzz_driver}
  "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/guard.cpp" "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz.cpp")
target_include_directories(lowbit_fuzz_readers PUBLIC
  "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}")
# -O1 -g1: the sanitizers' reports need lines, and the build has to stay short.
target_compile_options(lowbit_fuzz_readers PUBLIC -O1 -g1 -fno-omit-frame-pointer ${fuzz_sanitizers}
  $<TARGET_PROPERTY:lowbit::torch,INTERFACE_COMPILE_OPTIONS>)
target_link_libraries(lowbit_fuzz_readers PUBLIC lowbit_compiler fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json
  yaml-cpp PkgConfig::xxhash PkgConfig::sentencepiece PkgConfig::pcre2 PkgConfig::utf8proc PkgConfig::zlib PkgConfig::zstd
  BZip2::BZip2)
target_link_options(lowbit_fuzz_readers INTERFACE ${fuzz_sanitizers} LINKER:--wrap=mmap,--wrap=munmap)
if(LOWBIT_FUZZ)
  target_compile_options(lowbit_fuzz_readers PUBLIC -fsanitize=fuzzer-no-link)
  target_link_options(lowbit_fuzz_readers INTERFACE -fsanitize=fuzzer)
endif()

function(lowbit_fuzz_target reader inputs)
  add_executable(${reader}_fuzz "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${reader}_fuzz.cpp")
  target_link_libraries(${reader}_fuzz PRIVATE lowbit_fuzz_readers lowbit_test_support)
  if(NOT LOWBIT_FUZZ)
    add_test(NAME fuzz_${reader} COMMAND ${reader}_fuzz --inputs ${inputs})
    set_tests_properties(fuzz_${reader} PROPERTIES LABELS ci)
  endif()
endfunction()

lowbit_fuzz_target(safetensors 20000)
lowbit_fuzz_target(safetensors_index 20000)
lowbit_fuzz_target(gguf 20000)
lowbit_fuzz_target(gguf_tokenizer 10000)
lowbit_fuzz_target(tokenizer_json 5000)
lowbit_fuzz_target(tokenize 10000)
lowbit_fuzz_target(sentencepiece 5000)
lowbit_fuzz_target(model_config 10000)
lowbit_fuzz_target(yaml 10000)
lowbit_fuzz_target(results 10000)
lowbit_fuzz_target(rows 10000)
lowbit_fuzz_target(template 10000)
lowbit_fuzz_target(chat_template 5000)
